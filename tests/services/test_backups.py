"""Backups on both engines: made, refused where they would not do, gone when time is over."""

import dataclasses
from pathlib import Path
from typing import Any, Self, cast

import pyrage
import pytest
from sqlalchemy import text

from consent_service.db import snapshots
from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.jobs import ClockPause, Notice
from consent_service.domain.audit import EventKind
from consent_service.errors import (
    Gone,
    IntegrityFault,
    InvalidInput,
    NotFound,
    SettingsFault,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.services import (
    backup_register,
    backups,
    checks,
    restore_drill,
    restores,
)
from consent_service.services.access import job_caller
from consent_service.vault import backup_folder
from consent_service.vault.blobs import BlobSource, BlobStore
from tests.support.clinic import Clinic, Family
from tests.support.safe import (
    Safe,
    consenting_family,
    count,
    encrypts_to,
    made_backup,
    open_safe,
    restored,
)

JOB = job_caller("backups")


@pytest.fixture
def safe(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Safe:
    """A disk for backups, and what opens them."""
    return open_safe(clinic, tmp_path_factory.mktemp("safe"))


class InterruptedStore:
    """A store of which one object is replaced, once, while somebody reads it."""

    def __init__(self, real: BlobStore, name: str) -> None:
        self._real = real
        self._name = name
        self.interrupted = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def open(self, name: str) -> BlobSource:
        source = self._real.open(name)
        if name == self._name and not self.interrupted:
            self.interrupted += 1
            return cast(BlobSource, _Interrupted(source))
        return source


class _Interrupted:
    """Gives the first bytes and then says that the object is gone."""

    def __init__(self, source: BlobSource) -> None:
        self._source = source
        self.size = source.size

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        if offset:
            raise Gone("This object was replaced while it was read.")
        return self._source.read_into(0, memoryview(buffer)[:8])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._source.__exit__(*fault)


def test_an_object_that_is_replaced_while_it_is_copied_is_copied_again(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """A bucket says Gone in the middle of a sidecar that was written anew; a backup goes on."""
    film = clinic.stores_film(family).id
    store = InterruptedStore(clinic.ctx.blobs, f"{film}.json")
    clinic.ctx = dataclasses.replace(clinic.ctx, blobs=cast(BlobStore, store))

    made = made_backup(clinic, safe)

    assert (made.objects, made.missing, store.interrupted) == (2, 0, 1)
    assert restores.verify(clinic.ctx, clinic.admin, made.folder).ok


def test_verification_opens_everything_and_says_when_the_identity_is_another(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """An identity that was mixed up is found on a quiet day and not on the day of the fire."""
    clinic.stores_film(family)
    made = made_backup(clinic, safe)
    other = safe.identity.with_name("other.key")
    other.write_text(str(pyrage.x25519.Identity.generate()))

    found = restores.verify(clinic.ctx, clinic.admin, made.folder, safe.identity)

    assert found.ok and found.opens
    with pytest.raises(IntegrityFault) as refused:
        restores.verify(clinic.ctx, clinic.admin, made.folder, other)
    assert refused.value.code == "wrong_identity"
    with pytest.raises(InvalidInput):
        restores.verify(clinic.ctx, clinic.admin, made.folder, made.folder / "manifest.json")


def test_a_backup_names_nobody_and_holds_no_key(
    clinic: Clinic, family: Family, safe: Safe, tmp_path: Path
) -> None:
    """Whoever finds the disk reads sizes and ids; even with the identity, no film."""
    clinic.stores_film(family)
    made = made_backup(clinic, safe)
    keyring = (tmp_path / "keyring.sqlite3").read_bytes()[:100]
    pem = next((tmp_path / "signing").glob("*.pem")).read_bytes()[30:60]

    lying = b"".join(p.read_bytes() for p in made.folder.rglob("*") if p.is_file())
    owner = pyrage.x25519.Identity.from_str(safe.identity.read_text().splitlines()[1])
    opened = b"".join(pyrage.decrypt(p.read_bytes(), [owner]) for p in made.folder.glob("*.age"))

    assert b"Invented" not in lying and b"clinic.example" not in lying
    assert b"held_key" not in opened and b"shard_key" not in opened
    assert keyring not in lying + opened[16:] and pem not in lying + opened


def test_keys_in_the_same_database_are_refused(clinic: Clinic, safe: Safe) -> None:
    """They would be in every backup for sixty days, and nothing erased would be gone."""
    with clinic.ctx.engine.begin() as connection:
        connection.execute(text("CREATE TABLE held_key (key_id TEXT)"))
    try:
        with pytest.raises(SettingsFault):
            backups.create(clinic.ctx, clinic.admin, safe.folder)
    finally:
        with clinic.ctx.engine.begin() as connection:
            connection.execute(text("DROP TABLE held_key"))
    assert not list(safe.folder.iterdir())


def test_film_that_the_store_lost_is_counted(clinic: Clinic, family: Family, safe: Safe) -> None:
    """A backup that silently lacks film is worse than none."""
    film = clinic.stores_film(family).id
    clinic.ctx.blobs.delete(f"{film}.1")

    made = made_backup(clinic, safe)

    assert (made.missing, made.erased_meanwhile, made.objects) == (1, 0, 1)
    drilled = restore_drill.drill(clinic.ctx, clinic.admin, made.folder, safe.identity)
    assert drilled.films == 0


def test_a_place_that_would_not_do_is_refused(clinic: Clinic, safe: Safe) -> None:
    """A backup beside what it protects burns with it; one on an absent disk fills another."""
    with pytest.raises(InvalidInput):
        backups.create(clinic.ctx, clinic.admin, clinic.ctx.settings.data_dir)
    with pytest.raises(NotFound):
        backups.create(clinic.ctx, clinic.admin, safe.folder / "not-mounted")
    encrypts_to(clinic, "")
    with pytest.raises(SettingsFault):
        backups.create(clinic.ctx, clinic.admin, safe.folder)


def test_check_says_how_old_the_newest_backup_is(clinic: Clinic, safe: Safe) -> None:
    """A backup that stopped being made is found out by whoever looks, and not by the fire."""
    found = []
    for made in (False, True, False):
        if made:
            made_backup(clinic, safe)
        lines = {line.what: line for line in checks.check(clinic.ctx)}
        found.append((lines["backups"].state, lines["backups"].finding))
        clinic.passes(days=2)

    assert [state for state, _ in found] == [checks.WARNING, checks.OK, checks.WARNING]
    assert found[2][1] == "the newest is 2 days old"


def test_a_killed_backup_leaves_nothing_that_looks_like_one(clinic: Clinic, safe: Safe) -> None:
    """Half a backup must never be taken for one, nor fill the disk for good."""
    left = safe.folder / f".{backup_folder.PREFIX}x.unfinished"
    left.mkdir()
    (left / "database.0001.age").write_bytes(b"half")

    made = made_backup(clinic, safe)

    assert list(safe.folder.iterdir()) == [made.folder]


def test_backups_go_after_sixty_days_and_newer_ones_stay(clinic: Clinic, safe: Safe) -> None:
    """R31: what was erased must not lie in a drawer for ever."""
    old = made_backup(clinic, safe)
    clinic.passes(days=59)
    new = made_backup(clinic, safe)
    assert new.unprotected_seconds == int((new.made_at - old.made_at).total_seconds())
    assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), ())
    clinic.passes(days=2)

    done = backup_register.expire(clinic.ctx, JOB)

    assert done == backup_register.Expired((old.id,), ())
    assert list(safe.folder.iterdir()) == [new.folder]
    states = {b.id: b.state for b in backup_register.backups(clinic.ctx, clinic.admin)}
    assert states == {
        old.id: backup_register.BackupState.GONE,
        new.id: backup_register.BackupState.THERE,
    }
    [told] = clinic.written_down(EventKind.BACKUP_EXPIRED)
    assert (told.event.subject, told.event.details["rule"]) == (old.id, "R31")


def test_a_backup_out_of_reach_is_asked_for_until_somebody_says_it_is_gone(
    clinic: Clinic, safe: Safe
) -> None:
    """A disk in a drawer cannot be cleared by us, but it can be asked for."""
    made = made_backup(clinic, safe)
    away = safe.folder.with_name("drawer")
    safe.folder.rename(away)
    clinic.passes(days=61)

    for _ in range(2):
        assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), (made.id,))
    assert count(clinic, Notice, Notice.kind == "backup_due") == 1
    backup_register.mark_gone(clinic.ctx, clinic.admin, made.id)

    assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), ())
    assert (away / made.folder.name).is_dir()


def test_a_clock_in_doubt_deletes_no_backup(clinic: Clinic, safe: Safe) -> None:
    """A clock that jumped a year ahead would otherwise take every backup with it."""
    made = made_backup(clinic, safe)
    clinic.passes(days=61)
    with clinic.ctx.begin() as uow:
        uow.session.add(ClockPause(id=new_id(), found_at=uow.at, last_beat_at=made.made_at))

    assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), ())
    assert made.folder.is_dir()


def test_a_backup_that_a_restored_database_does_not_know_goes_too(
    clinic: Clinic, safe: Safe
) -> None:
    """A restore forgets the backups made since; their sixty days go on."""
    first = made_backup(clinic, safe)
    second = made_backup(clinic, safe)
    restored(clinic, safe, first, replace=True)
    clinic.passes(days=61)

    done = backup_register.expire(clinic.ctx, JOB)

    assert sorted(done.deleted) == sorted([first.id, second.id])
    assert not list(safe.folder.iterdir())


def test_a_database_that_was_cut_short_replaces_nothing(clinic: Clinic, family: Family) -> None:
    """Half the rows are worse than the old ones."""
    with snapshots.taken(clinic.ctx.engine) as moment:
        whole = b"".join(moment.pieces())

    with pytest.raises((IntegrityFault, Unavailable)):
        snapshots.put_back(clinic.ctx.engine, [whole[: len(whole) // 2]])

    assert count(clinic, UserAccount) == 5
    assert count(clinic, ApiToken) == 0


def test_a_snapshot_is_of_one_moment(clinic: Clinic) -> None:
    """Rows of which half came later would fit neither one another nor the list of film."""
    with snapshots.taken(clinic.ctx.engine) as moment:
        consenting_family(clinic)
        pieces = list(moment.pieces())

    with snapshots.opened_copy(clinic.ctx.engine, pieces) as engine:
        assert snapshots.is_empty(engine)
        assert not snapshots.faults_in(engine)
    assert not snapshots.is_empty(clinic.ctx.engine)
