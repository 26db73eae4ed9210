"""Backups on both engines: made, verified, put back, drilled, and gone when their time is over."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, cast

import pyrage
import pytest
from sqlalchemy import ColumnElement, func, select, text, update

from consent_service.db import snapshots
from consent_service.db.base import Base
from consent_service.db.engine import open_engine
from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.audit import AuditEpoch
from consent_service.db.models.jobs import ClockPause, JournalDue, Notice
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import (
    Conflict,
    Gone,
    IntegrityFault,
    InvalidInput,
    NotFound,
    NotSignedIn,
    SettingsFault,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.services import (
    accounts,
    assets,
    audit,
    backup_register,
    backups,
    clock_guard,
    erasure,
    holds,
    key_rotation,
    restore_drill,
    restores,
    startup,
    tokens,
)
from consent_service.services.access import job_caller
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault import backup_folder
from consent_service.vault.blobs import BlobSource, BlobStore
from consent_service.vault.blobs.memory import MemoryStore
from consent_service.vault.journal import LineKind
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import Keyring, KeyStatus
from tests.support.clinic import Clinic, Family
from tests.support.databases import Databases

JOB = job_caller("backups")


@dataclasses.dataclass(frozen=True)
class Safe:
    """Where an operator keeps backups, and what opens them."""

    folder: Path
    identity: Path


@pytest.fixture
def safe(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Safe:
    """A disk for backups and an identity kept elsewhere; the clinic encrypts to it."""
    pair = pyrage.x25519.Identity.generate()
    _encrypts_to(clinic, str(pair.to_public()))
    safe = tmp_path_factory.mktemp("safe")
    (safe / "disk").mkdir()
    (safe / "backup.key").write_text(f"# created by hand\n{pair}\n")
    return Safe(safe / "disk", safe / "backup.key")


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family who agreed, an hour ago, to being filmed."""
    return _family(clinic)


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


def _family(clinic: Clinic) -> Family:
    found = clinic.family()
    clinic.both_consent(found)
    clinic.passes(hours=1)
    return found


def _encrypts_to(clinic: Clinic, recipient: str) -> None:
    settings = clinic.ctx.settings.model_copy(update={"backup_recipient": recipient})
    clinic.ctx = dataclasses.replace(clinic.ctx, settings=settings)


def _made(clinic: Clinic, safe: Safe) -> backups.MadeBackup:
    made = backups.create(clinic.ctx, clinic.admin, safe.folder)
    clinic.passes(minutes=5)
    return made


def _restored(
    clinic: Clinic, safe: Safe, made: backups.MadeBackup, **how: bool
) -> restores.Restored:
    wanted = restores.RestoreBackup(made.folder, safe.identity, **how)
    return restores.restore(clinic.ctx, clinic.admin, wanted)


def _count(clinic: Clinic, what: type[Base], *where: ColumnElement[bool]) -> int:
    with clinic.ctx.read() as session:
        return session.scalar(select(func.count()).select_from(what).where(*where)) or 0


@pytest.fixture
def elsewhere(clinic: Clinic, databases: Databases) -> Iterator[Clinic]:
    """The same installation after it lost its database and its film, and got empty ones."""
    with databases.empty() as url:
        engine = open_engine(url)
        store = MemoryStore(clock=clinic.clock)
        yield dataclasses.replace(
            clinic, ctx=dataclasses.replace(clinic.ctx, engine=engine, blobs=store)
        )
        engine.dispose()


def test_a_lost_database_and_its_film_come_back(
    clinic: Clinic, elsewhere: Clinic, family: Family, safe: Safe
) -> None:
    """What a backup is for: the film plays again, on a machine that had lost rows and objects."""
    film = clinic.stores_film(family).id
    watched = clinic.watches(film)
    made = _made(clinic, safe)
    elsewhere.ctx = dataclasses.replace(elsewhere.ctx, settings=clinic.ctx.settings)

    report = _restored(elsewhere, safe, made)

    assert elsewhere.watches(film) == watched
    assert (report.objects, report.erased_since, report.absent) == (made.objects, 0, 0)
    assert report.same_policies
    assert elsewhere.objects() == clinic.objects()
    assert [b.id for b in backup_register.backups(elsewhere.ctx, elsewhere.admin)] == [made.id]
    audit.seal(elsewhere.ctx)
    assert audit.verify(elsewhere.ctx, elsewhere.ig).ok


def test_nothing_that_ended_after_a_backup_comes_back_with_it(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """A week-old backup must not undo a withdrawal, a hold, or the end of somebody's access."""
    erased, held = clinic.stores_film(family).id, _family(clinic)
    locked = _family(clinic)
    kept, waiting = clinic.stores_film(held).id, clinic.stores_film(locked).id
    leaver, _ = accounts.create_user(
        clinic.ctx,
        clinic.admin,
        accounts.UserDetails("leaver@clinic.example", "Lee Invented", ("guider",)),
    )
    token, secret = tokens.create_token(clinic.ctx, clinic.admin, leaver, ["guider"], 30)
    made = _made(clinic, safe)
    clinic.passes(days=3)
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "before")
    key_rotation.rotate(clinic.ctx, clinic.admin)
    clinic.withdraws(locked, locked.mother, speed=Speed.SEVEN_DAYS)
    hold = holds.place(
        clinic.ctx, clinic.ig, holds.PlaceHold(held.involvement, HoldKind.COMPLAINT, "It came.")
    )
    tokens.revoke_token(clinic.ctx, clinic.admin, token)
    accounts.disable_user(clinic.ctx, clinic.admin, leaver)
    clinic.passes(days=4)

    report = _restored(clinic, safe, made, replace=True)

    assert report.brought_back == {"consent_ended": 2, "hold_placed": 1, "access_revoked": 2}
    assert report.erased_since == 2, "ciphertext of the erased film and its sidecar"
    for gone in (erased, waiting):
        with pytest.raises(Gone):
            clinic.watches(gone)
    assert not [name for name in clinic.objects() if name.startswith(erased)]
    assert clinic.watches(kept)
    assert [h.id for h in holds.holds(clinic.ctx, clinic.ig)] == [hold.id]
    with pytest.raises(NotSignedIn):
        tokens.caller_of_token(clinic.ctx, secret)
    assert _count(clinic, UserAccount, UserAccount.active.is_(False)) == 1
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, erased).state is AssetState.ERASED
    assert assets.asset(clinic.ctx, clinic.ig, waiting).state is AssetState.STORED


def test_a_restore_is_told_of_and_the_log_begins_a_new_epoch(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """Nobody may put an old log in the place of a newer one unseen."""
    made = _made(clinic, safe)

    report = _restored(clinic, safe, made, replace=True)

    assert report.new_log_epoch
    assert _count(clinic, AuditEpoch) == 2
    assert [n.kind for n in clinic.ctx.journal.lines()][-1] is LineKind.RESTORED
    assert _count(clinic, Notice, Notice.kind == "restore_found") == 2
    [told] = clinic.written_down(EventKind.RESTORE_FOUND)
    assert told.event.subject == made.id
    audit.seal(clinic.ctx)
    assert audit.verify(clinic.ctx, clinic.ig).ok
    assert not startup.replay(clinic.ctx).found_restore


def test_a_dry_run_and_a_place_in_use_change_nothing(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """A restore gives up whatever came after the backup: never by mistake."""
    clinic.stores_film(family)
    made = _made(clinic, safe)
    newer = clinic.stores_film(family).id

    planned = _restored(clinic, safe, made, replace=True, dry_run=True)
    with pytest.raises(Conflict) as full:
        _restored(clinic, safe, made)
    clock_guard.beat(clinic.ctx)
    with pytest.raises(Conflict) as running:
        _restored(clinic, safe, made, replace=True)

    assert (planned.there, planned.objects) == (made.objects, 0)
    assert (full.value.code, running.value.code) == ("not_empty", "running")
    assert clinic.watches(newer)
    assert not clinic.written_down(EventKind.RESTORE_FOUND)


def test_what_the_journal_is_still_owed_outlives_the_database(clinic: Clinic, safe: Safe) -> None:
    """A crash between an end and its line leaves the line to do; a restore must not lose it."""
    made = _made(clinic, safe)
    with clinic.ctx.begin() as uow:
        body = {"kind": "user", "id": clinic.guider.id}
        due = JournalDue(id=new_id(), kind="access-revoked", body=body, due_at=uow.at)
        uow.session.add(due)

    report = _restored(clinic, safe, made, replace=True)

    assert report.brought_back == {"access_revoked": 1}
    assert _count(clinic, UserAccount, UserAccount.active.is_(False)) == 1


def test_an_object_that_is_replaced_while_it_is_copied_is_copied_again(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """A bucket says Gone in the middle of a sidecar that was written anew; a backup goes on."""
    film = clinic.stores_film(family).id
    store = InterruptedStore(clinic.ctx.blobs, f"{film}.json")
    clinic.ctx = dataclasses.replace(clinic.ctx, blobs=cast(BlobStore, store))

    made = _made(clinic, safe)

    assert (made.objects, made.missing, store.interrupted) == (2, 0, 1)
    assert restores.verify(clinic.ctx, clinic.admin, made.folder).ok


@pytest.mark.parametrize("spoilt", ["database.0001.age", "policies.0001.age", "film", "manifest"])
def test_a_backup_of_which_a_byte_was_changed_is_not_restored(
    clinic: Clinic, family: Family, safe: Safe, spoilt: str
) -> None:
    """Better no restore than one that fails half-way, or puts in what somebody made up."""
    film = clinic.stores_film(family).id
    made = _made(clinic, safe)
    path = {
        "film": backup_folder.object_path(made.folder, f"{film}.1"),
        "manifest": made.folder / backup_folder.MANIFEST,
    }.get(spoilt, made.folder / spoilt)
    content = path.read_bytes()
    at = content.index(b'"objects"') + 1 if spoilt == "manifest" else len(content) // 2
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])

    with pytest.raises(IntegrityFault):
        _restored(clinic, safe, made, replace=True)

    assert clinic.watches(film)
    if spoilt != "manifest":
        found = restores.verify(clinic.ctx, clinic.admin, made.folder, safe.identity)
        assert found.faulty == (path.name,)
        assert not found.ok


def test_verification_opens_everything_and_says_when_the_identity_is_another(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """An identity that was mixed up is found on a quiet day and not on the day of the fire."""
    clinic.stores_film(family)
    made = _made(clinic, safe)
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
    made = _made(clinic, safe)
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

    made = _made(clinic, safe)

    assert (made.missing, made.erased_meanwhile, made.objects) == (1, 0, 1)
    drilled = restore_drill.drill(clinic.ctx, clinic.admin, made.folder, safe.identity)
    assert drilled.films == 0


def test_a_place_that_would_not_do_is_refused(clinic: Clinic, safe: Safe) -> None:
    """A backup beside what it protects burns with it; one on an absent disk fills another."""
    with pytest.raises(InvalidInput):
        backups.create(clinic.ctx, clinic.admin, clinic.ctx.settings.data_dir)
    with pytest.raises(NotFound):
        backups.create(clinic.ctx, clinic.admin, safe.folder / "not-mounted")
    _encrypts_to(clinic, "")
    with pytest.raises(SettingsFault):
        backups.create(clinic.ctx, clinic.admin, safe.folder)


def test_a_killed_backup_leaves_nothing_that_looks_like_one(clinic: Clinic, safe: Safe) -> None:
    """Half a backup must never be taken for one, nor fill the disk for good."""
    left = safe.folder / f".{backup_folder.PREFIX}x.unfinished"
    left.mkdir()
    (left / "database.0001.age").write_bytes(b"half")

    made = _made(clinic, safe)

    assert list(safe.folder.iterdir()) == [made.folder]


def test_backups_go_after_sixty_days_and_newer_ones_stay(clinic: Clinic, safe: Safe) -> None:
    """R31: what was erased must not lie in a drawer for ever."""
    old = _made(clinic, safe)
    clinic.passes(days=59)
    new = _made(clinic, safe)
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
    made = _made(clinic, safe)
    away = safe.folder.with_name("drawer")
    safe.folder.rename(away)
    clinic.passes(days=61)

    for _ in range(2):
        assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), (made.id,))
    assert _count(clinic, Notice, Notice.kind == "backup_due") == 1
    backup_register.mark_gone(clinic.ctx, clinic.admin, made.id)

    assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), ())
    assert (away / made.folder.name).is_dir()


def test_a_clock_in_doubt_deletes_no_backup(clinic: Clinic, safe: Safe) -> None:
    """A clock that jumped a year ahead would otherwise take every backup with it."""
    made = _made(clinic, safe)
    clinic.passes(days=61)
    with clinic.ctx.begin() as uow:
        uow.session.add(ClockPause(id=new_id(), found_at=uow.at, last_beat_at=made.made_at))

    assert backup_register.expire(clinic.ctx, JOB) == backup_register.Expired((), ())
    assert made.folder.is_dir()


def test_a_backup_that_a_restored_database_does_not_know_goes_too(
    clinic: Clinic, safe: Safe
) -> None:
    """A restore forgets the backups made since; their sixty days go on."""
    first = _made(clinic, safe)
    second = _made(clinic, safe)
    _restored(clinic, safe, first, replace=True)
    clinic.passes(days=61)

    done = backup_register.expire(clinic.ctx, JOB)

    assert sorted(done.deleted) == sorted([first.id, second.id])
    assert not list(safe.folder.iterdir())


def test_a_drill_finds_a_good_backup_good_and_leaves_nothing(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """A drill must be safe to run on any day, beside a service at work."""
    clinic.stores_film(family)
    other = _family(clinic)
    kept = clinic.stores_film(other).id
    made = _made(clinic, safe)
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "before")
    clinic.passes(hours=1)
    journal, objects = clinic.ctx.journal.head(), clinic.objects()
    keys = sorted(clinic.ctx.keyring.list_keys(), key=str)

    found = restore_drill.drill(clinic.ctx, clinic.admin, made.folder, safe.identity)

    assert found.ok, found.faults
    assert (found.films, found.returned) == (2, 0)
    assert found.brought_back == {"consent_ended": 1}
    assert found.log_entries > 10
    assert (clinic.ctx.journal.head(), clinic.objects()) == (journal, objects)
    assert sorted(clinic.ctx.keyring.list_keys(), key=str) == keys
    assert clinic.watches(kept)
    [told] = clinic.written_down(EventKind.BACKUP_DRILLED)
    assert told.event.details["outcome"] == "sound"


def test_a_drill_finds_what_would_come_back(clinic: Clinic, family: Family, safe: Safe) -> None:
    """An end that the journal was never told of is found on a quiet day."""
    made = _made(clinic, safe)
    with clinic.ctx.begin() as uow:
        uow.session.execute(
            update(UserAccount).where(UserAccount.id == clinic.guider.id).values(active=False)
        )

    found = restore_drill.drill(clinic.ctx, clinic.admin, made.folder, safe.identity)

    assert found.faults == (f"access {clinic.guider.id}",)
    [told] = clinic.written_down(EventKind.BACKUP_DRILLED)
    assert told.event.details["outcome"] == "broken"


def test_a_database_that_was_cut_short_replaces_nothing(clinic: Clinic, family: Family) -> None:
    """Half the rows are worse than the old ones."""
    with snapshots.taken(clinic.ctx.engine) as moment:
        whole = b"".join(moment.pieces())

    with pytest.raises((IntegrityFault, Unavailable)):
        snapshots.put_back(clinic.ctx.engine, [whole[: len(whole) // 2]])

    assert _count(clinic, UserAccount) == 5
    assert _count(clinic, ApiToken) == 0


def test_a_snapshot_is_of_one_moment(clinic: Clinic) -> None:
    """Rows of which half came later would fit neither one another nor the list of film."""
    with snapshots.taken(clinic.ctx.engine) as moment:
        _family(clinic)
        pieces = list(moment.pieces())

    with snapshots.opened_copy(clinic.ctx.engine, pieces) as engine:
        assert snapshots.is_empty(engine)
        assert not snapshots.faults_in(engine)
    assert not snapshots.is_empty(clinic.ctx.engine)


def test_a_lost_keyring_comes_back_without_the_keys_that_were_destroyed(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A key backup opens what was destroyed since: for seven days, and never through us."""
    erased, other = clinic.stores_film(family).id, _family(clinic)
    kept = clinic.stores_film(other).id
    pair = pyrage.x25519.Identity.generate()
    file = io.BytesIO()
    made = key_rotation.backup(clinic.ctx, clinic.admin, file, str(pair.to_public()))
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "before")
    memory = MemoryKeyProvider(), MemoryKeyProvider()
    lost, ring = clinic.ctx.keyring, Keyring(f"sqlite:///{tmp_path}/new.sqlite3", *memory)
    gone = [k for n in clinic.ctx.journal.lines() for k in n.body.get("keys", ())]
    clinic.ctx = dataclasses.replace(clinic.ctx, keyring=ring, viewings=ViewingKeys())

    came = key_rotation.restore(clinic.ctx, clinic.admin, io.BytesIO(file.getvalue()), str(pair))

    assert came.refused > 0 and came.restored > 0
    assert set(ring.status(gone).values()) == {KeyStatus.DESTROYED}
    assert clinic.watches(kept)
    with pytest.raises(Gone):
        clinic.watches(erased)
    assert [b.backup_id for b in ring.backups.registered()] == [made.backup_id]
    lost.close()
