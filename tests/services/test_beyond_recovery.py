"""No certificate says *irrecoverable* while a key backup that may hold the keys exists."""

import dataclasses
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from consent_service.domain.audit import EventKind
from consent_service.errors import DiskFull, Unavailable
from consent_service.services import certificates, erasure, key_rotation, startup
from consent_service.services.access import job_caller
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault.journal import LineKind
from consent_service.vault.key_backups import LIFETIME
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import Keyring
from consent_service.vault.keyring_values import KeyBackup
from tests.support.clinic import Clinic, Family
from tests.support.kept_film import keep_film

OWNER = pyrage.x25519.Identity.generate()
RECIPIENT, IDENTITY = str(OWNER.to_public()), str(OWNER)
NIGHT = job_caller("rotate-keys")


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family that agreed to everything and has a film."""
    family = clinic.family()
    clinic.both_consent(family)
    keep_film(clinic, family)
    return family


@pytest.fixture
def another(clinic: Clinic, tmp_path: Path) -> Iterator[Keyring]:
    """An empty keyring: what a clinic has that lost its own."""
    ring = Keyring(f"sqlite:///{tmp_path}/new.sqlite3", MemoryKeyProvider(), MemoryKeyProvider())
    yield ring
    ring.close()


def backed_up(clinic: Clinic, file: io.BytesIO) -> KeyBackup:
    """Make a key backup an hour from now, and let another pass."""
    clinic.passes(hours=1)
    made = key_rotation.backup(clinic.ctx, clinic.admin, file, RECIPIENT)
    clinic.passes(hours=1)
    file.seek(0)
    return made


def erased(clinic: Clinic, family: Family) -> str:
    """Let the mother stop everything, and carry it out; returns the order."""
    order = clinic.withdraws(family, family.mother).erasure_order
    erasure.work(clinic.ctx, "test")
    assert order is not None
    return order


def revision(clinic: Clinic, order: str) -> int:
    """The number of the newest revision of an order's certificate."""
    return certificates.certificate(clinic.ctx, clinic.ig, order).revision


def lose_keyring(clinic: Clinic, another: Keyring) -> None:
    """Go on with another keyring."""
    clinic.ctx.keyring.close()
    clinic.ctx = dataclasses.replace(clinic.ctx, keyring=another, viewings=ViewingKeys())
    clinic.passes(hours=1)


def goes_after_its_days(clinic: Clinic, order: str) -> None:
    """A rotation is not enough, and the end of the backup is."""
    assert certificates.supplement(clinic.ctx) == []
    key_rotation.rotate(clinic.ctx, NIGHT)
    assert revision(clinic, order) == 1
    clinic.clock.advance(LIFETIME)
    key_rotation.backups_gone(clinic.ctx, clinic.admin)
    assert revision(clinic, order) == 2


def test_keys_back_from_a_backup_do_not_end_the_backup(
    clinic: Clinic, family: Family, another: Keyring
) -> None:
    """What was destroyed stands in a journal without fingerprints: that is no key never made."""
    backed_up(clinic, file := io.BytesIO())
    order = erased(clinic, family)
    lose_keyring(clinic, another)

    key_rotation.restore(clinic.ctx, clinic.admin, file, IDENTITY)

    goes_after_its_days(clinic, order)


def test_an_empty_keyring_knows_the_backups_of_the_lost_one(
    clinic: Clinic, family: Family, another: Keyring
) -> None:
    """Whoever starts the service without the lost keys still counts what can open the film."""
    made = backed_up(clinic, io.BytesIO())
    order = erased(clinic, family)
    lose_keyring(clinic, another)

    startup.replay(clinic.ctx)

    assert [one.backup_id for one in another.backups.registered()] == [made.backup_id]
    goes_after_its_days(clinic, order)


def test_an_older_keyring_learns_of_later_backups_though_nothing_was_destroyed(
    clinic: Clinic, family: Family, another: Keyring
) -> None:
    """It holds the keys that were destroyed only later: then the backup must be known."""
    startup.replay(clinic.ctx)
    first = backed_up(clinic, io.BytesIO())
    startup.replay(clinic.ctx)
    second = backed_up(clinic, io.BytesIO())
    startup.replay(clinic.ctx)
    lose_keyring(clinic, another)

    for _ in range(2):
        startup.replay(clinic.ctx)
        known = [one.backup_id for one in another.backups.registered()]
        assert known == [first.backup_id, second.backup_id]


def test_a_backup_made_between_the_journals_line_and_the_key_counts(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal may take a while to answer: the key is there until it has."""
    append, written = clinic.ctx.journal.append, []

    def slow(kind: LineKind, *rest: Any) -> Any:
        line = append(kind, *rest)
        written.append(kind)
        if kind is LineKind.KEY_DESTROYED and written.count(kind) == 2:  # consent's, then film's
            backed_up(clinic, io.BytesIO())
        return line

    clinic.passes(hours=1)
    monkeypatch.setattr(clinic.ctx.journal, "append", slow)
    order = erased(clinic, family)

    goes_after_its_days(clinic, order)
    view = certificates.certificate(clinic.ctx, clinic.ig, order)
    [made] = clinic.ctx.keyring.backups.registered()
    told = [datetime.fromisoformat(key["destroyed_at"]) for key in json.loads(view.body)["keys"]]
    assert [moment > made.made_at for moment in sorted(told)] == [False, False, False, True]


def test_no_key_leaves_before_the_journal_knows_of_the_backup(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the journal is away there is no backup: a lost keyring could never be told of it."""

    def away(*_line: Any) -> None:
        raise Unavailable("The journal is away.")

    monkeypatch.setattr(clinic.ctx.journal, "append", away)
    file = io.BytesIO()

    with pytest.raises(Unavailable):
        key_rotation.backup(clinic.ctx, clinic.admin, file, RECIPIENT)

    assert file.getvalue() == b""
    assert clinic.ctx.keyring.backups.registered() == []


def test_a_backup_without_a_file_is_registered_and_journalled(clinic: Clinic) -> None:
    """Nobody can say how much of it left, so it is waited for."""

    class Full(io.BytesIO):
        def write(self, _content: object) -> int:
            raise DiskFull("full")

    with pytest.raises(DiskFull):
        key_rotation.backup(clinic.ctx, clinic.admin, Full(), RECIPIENT)

    [one] = clinic.ctx.keyring.backups.registered()
    assert key_rotation.known_backups(clinic.ctx.journal.lines()) == [one]


def test_a_backup_that_could_not_be_called_gone_is_due_until_it_is_written_down(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates build on it: the journal must know, and the log who said so."""
    made = backed_up(clinic, io.BytesIO())
    clinic.clock.advance(LIFETIME)

    def away(*_: object) -> None:
        raise Unavailable("The journal is away.")

    with monkeypatch.context() as patch:
        patch.setattr(clinic.ctx.journal, "append", away)
        with pytest.raises(Unavailable):
            key_rotation.backups_gone(clinic.ctx, clinic.admin)

    [gone] = key_rotation.backups_gone(clinic.ctx, clinic.admin)

    assert gone.backup_id == made.backup_id
    lines = [ln for ln in clinic.ctx.journal.lines() if ln.kind is LineKind.KEY_BACKUP_EXPIRED]
    assert [line.body for line in lines] == [{"backup": made.backup_id}]
    assert len(clinic.written_down(EventKind.KEYS_BACKUP_EXPIRED)) == 1
    assert key_rotation.backups_gone(clinic.ctx, clinic.admin) == []
