"""A film's data key goes under escrow as often as somebody new is noticed in it: it stays there.

Its bytes are the same each time and its id is another, so what is known of the ids before says
nothing of it.
"""

import io

import pyrage

from consent_service.vault.key_backups import RestoredKeys
from consent_service.vault.keyring import KeyKind, Keyring, KeyStatus, Tombstone
from tests.support.databases import Databases
from tests.support.keyrings import AT, LATER, KeyringHome
from tests.vault.conftest import make_tables

FIRST, AGAIN, CONSENT = "11" * 16, "22" * 16, "33" * 16
DATA_KEY = bytes(range(32))
OWNER = pyrage.x25519.Identity.generate()


def _sealed_twice(keyring: Keyring) -> None:
    """Under escrow, taken out and its place destroyed, and under escrow once more."""
    keyring.seal_secret(FIRST, DATA_KEY, 7, AT)
    keyring.destroy([FIRST], "order", AT, 7)
    keyring.seal_secret(AGAIN, DATA_KEY, 7, AT)


def test_no_tombstone_of_the_first_time_ends_the_second(keyring: Keyring) -> None:
    """A process that is killed between a line and its key has every tombstone looked at again."""
    _sealed_twice(keyring)
    lost = Tombstone(CONSENT, None, LATER, "order")

    assert keyring.purge_tombstoned(LATER, [lost]) == []

    assert keyring.read_sealed([FIRST, AGAIN]) == {AGAIN: DATA_KEY}


def test_a_key_backup_brings_the_second_back_and_never_the_first(
    keyring: Keyring, databases: Databases
) -> None:
    """The keyring is lost: this is the only copy of what opens the film."""
    keyring.create(CONSENT, KeyKind.CONSENT, 7, AT)
    keyring.seal_secret(FIRST, DATA_KEY, 7, AT)
    early, late = io.BytesIO(), io.BytesIO()
    keyring.backups.make(early, str(OWNER.to_public()), AT)
    keyring.destroy([FIRST], "order", AT, 7)
    keyring.seal_secret(AGAIN, DATA_KEY, 7, AT)
    keyring.backups.make(late, str(OWNER.to_public()), AT)

    with databases.ready(make_tables) as url:
        home = KeyringHome(url)
        lost = home.open()
        late.seek(0)
        restored = lost.backups.restore(late, str(OWNER), LATER)
        assert restored == RestoredKeys(restored=2, present=0, refused=0)
        assert lost.read_sealed([FIRST, AGAIN]) == {AGAIN: DATA_KEY}

        early.seek(0)
        restored = lost.backups.restore(early, str(OWNER), LATER)
        assert restored == RestoredKeys(restored=0, present=1, refused=1)
        assert lost.status([FIRST]) == {FIRST: KeyStatus.DESTROYED}
        home.close()
