"""Sealing by a process whose key server lets it wrap under escrow and open nothing there."""

import io
from collections.abc import Sequence

import pyrage
import pytest

from consent_service.errors import Refused
from consent_service.ids import new_id
from consent_service.vault.key_providers.port import is_forbidden
from consent_service.vault.keyring import Keyring, KeyStatus, Zone
from tests.support.keyrings import AT, LATER, Interleaved, KeyringHome, WrapsOnly, make_keys


class OutOfHours(WrapsOnly):
    """A provider that may open, and does not just now."""

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        raise Refused("Out of hours.", code="out_of_hours")


@pytest.fixture
def web(home: KeyringHome) -> Keyring:
    """The same keyring as a web process has it."""
    return home.open(escrow=WrapsOnly(home.escrow))


def test_the_web_seals_at_once_and_only_the_worker_opens(keyring: Keyring, web: Keyring) -> None:
    """Serving code must be shut out when the act is recorded, not when a worker comes round."""
    ids = make_keys(keyring, 2, shard=7)
    before = keyring.read(ids)

    assert web.seal(ids, AT) == set(ids)

    assert web.read(ids) == {}
    assert web.status(ids) == dict.fromkeys(ids, KeyStatus.SEALED)
    for opened in (web.read_sealed, lambda keys: web.unseal(keys, LATER)):
        with pytest.raises(Refused) as refused:
            opened(ids)
        assert is_forbidden(refused.value)
    assert keyring.read_sealed(ids) == before


def test_the_web_puts_a_data_key_under_escrow(keyring: Keyring, web: Keyring) -> None:
    """Somebody else was noticed in a film: it is shut until they have answered."""
    key_id = new_id()

    assert web.seal_secret(key_id, b"d" * 32, 7, AT) is True
    assert web.seal_secret(key_id, b"e" * 32, 7, AT) is False

    assert keyring.read_sealed([key_id]) == {key_id: b"d" * 32}


def test_what_is_brought_back_stands_in_its_own_shard_again(keyring: Keyring, web: Keyring) -> None:
    """A pocket is for escrow only; a live key is found by its involvement's shard."""
    ids = make_keys(keyring, 2, shard=7)
    before = keyring.read(ids)
    web.seal(ids, AT)

    assert keyring.unseal(ids, LATER) == set(ids)

    assert web.read(ids) == before
    assert {entry.shard for entry in keyring.list_keys(Zone.LIVE)} == {7}


def test_a_pocket_is_rotated_like_a_shard_and_forgotten_once_it_is_empty(
    home: KeyringHome, keyring: Keyring, web: Keyring
) -> None:
    """What was sealed survives every rotation, and pockets do not pile up over the years."""
    [kept, gone, undone] = make_keys(keyring, 3, shard=7)
    before = keyring.read([kept])
    for key_id in (kept, gone, undone):
        web.seal([key_id], AT)
    keyring.destroy([gone], "order", AT)
    keyring.unseal([undone], AT)
    dirty = keyring.dirty_shards()
    assert len([place for place in dirty if place[0] is Zone.ESCROW]) == 2

    for moment in (AT, LATER):
        keyring.rotate(moment, force=True)

    assert keyring.read_sealed([kept]) == home.open().read_sealed([kept]) == before
    assert keyring.dirty_shards() == []
    [place] = {entry.shard for entry in keyring.list_keys(Zone.ESCROW)}
    keyring.destroy([kept], "order", LATER)
    assert keyring.dirty_shards() == [(Zone.ESCROW, place)]
    keyring.rotate(LATER)
    assert keyring.irrecoverable_since([kept, gone]) == {kept: LATER, gone: AT}


def test_a_pocket_made_while_masters_are_replaced_is_made_again(
    home: KeyringHome, keyring: Keyring
) -> None:
    """Wrapped under the old master key, the sealed film would be lost with it."""
    escrow = Interleaved(WrapsOnly(home.escrow))
    web = home.open(escrow=escrow)
    [first, key_id] = make_keys(keyring, 2, shard=7)
    before = keyring.read([key_id])
    web.seal([first], AT)
    escrow.after_wrapping = lambda: keyring.rotate(LATER, force=True)

    assert web.seal([key_id], LATER) == {key_id}

    assert keyring.read_sealed([key_id]) == before


def test_a_pocket_whose_number_is_taken_gets_another(
    keyring: Keyring, web: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pocket that is there belongs to a film already sealed; its key must not be replaced."""
    [first, second] = make_keys(keyring, 2, shard=7)
    before = keyring.read([first, second])
    drawn = [5, 5, 6]
    monkeypatch.setattr(
        "consent_service.vault.keyring_values.secrets.randbelow", lambda _below: drawn.pop(0)
    )
    web.seal([first], AT)

    assert web.seal([second], LATER) == {second}

    assert drawn == []
    assert keyring.read_sealed([first, second]) == before


def test_a_refusal_of_another_kind_is_not_walked_round(home: KeyringHome, keyring: Keyring) -> None:
    """Pockets are for what this token may not open; any other "no" has to be heard."""
    [key_id] = make_keys(keyring, 1, shard=7)
    before = keyring.read([key_id])

    with pytest.raises(Refused, match="Out of hours"):
        home.open(escrow=OutOfHours(home.escrow)).seal([key_id], AT)

    assert keyring.read([key_id]) == before
    assert list(keyring.list_keys(Zone.ESCROW)) == []


def test_a_key_backup_holds_what_lies_in_a_pocket(
    home: KeyringHome, keyring: Keyring, web: Keyring
) -> None:
    """A restored keyring knows shards only; what was sealed by the web must not be missing."""
    owner = pyrage.x25519.Identity.generate()
    [key_id] = make_keys(keyring, 1, shard=7)
    before = keyring.read([key_id])
    web.seal([key_id], AT)
    file = io.BytesIO()
    keyring.backups.make(file, str(owner.to_public()), AT)
    keyring.unseal([key_id], AT)
    with keyring._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM held_key")

    restored = keyring.backups.restore(io.BytesIO(file.getvalue()), str(owner), LATER)

    assert restored.restored == 1
    assert keyring.read_sealed([key_id]) == before
