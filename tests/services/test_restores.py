"""Backups put back and drilled, on both engines: nothing that ended since comes back with them."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
from sqlalchemy import update

from consent_service.db.engine import open_engine
from consent_service.db.models.accounts import UserAccount
from consent_service.db.models.audit import AuditEpoch
from consent_service.db.models.jobs import JournalDue, Notice
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.errors import (
    Conflict,
    Gone,
    IntegrityFault,
    JournalBroken,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.services import (
    audit,
    backup_register,
    clock_guard,
    depicted,
    erasure,
    key_rotation,
    recordings,
    restore_drill,
    restores,
    startup,
)
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault import backup_folder
from consent_service.vault.blobs.memory import MemoryStore
from consent_service.vault.journal import LineKind, MemoryJournal
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import Keyring, KeyStatus
from tests.services.test_replaced_keys import Ends, Killed
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.databases import Databases
from tests.support.kept_film import Kept, asset_row, keep_film
from tests.support.safe import (
    Safe,
    consenting_family,
    count,
    made_backup,
    open_safe,
    restored,
)
from tests.support.week import a_week_passes, joins, require_nothing_back


@pytest.fixture
def safe(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Safe:
    """A disk for backups, and what opens them."""
    return open_safe(clinic, tmp_path_factory.mktemp("safe"))


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
    made = made_backup(clinic, safe)
    elsewhere.ctx = dataclasses.replace(elsewhere.ctx, settings=clinic.ctx.settings)

    report = restored(elsewhere, safe, made)

    assert elsewhere.watches(film) == watched
    assert (report.objects, report.erased_since, report.absent) == (made.objects, 0, 0)
    assert report.same_policies
    assert elsewhere.objects() == clinic.objects()
    assert [b.id for b in backup_register.backups(elsewhere.ctx, elsewhere.admin)] == [made.id]
    audit.seal(elsewhere.ctx)
    assert audit.verify(elsewhere.ctx, elsewhere.ig).ok


def test_nothing_that_ended_after_a_backup_comes_back_with_it(clinic: Clinic, safe: Safe) -> None:
    """A week-old backup must not undo a withdrawal, a hold, or the end of somebody's access."""
    week = a_week_passes(clinic, safe)

    report = restored(clinic, safe, week.made, replace=True)

    require_nothing_back(clinic, week, report)


def test_a_restore_is_told_of_and_the_log_begins_a_new_epoch(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """Nobody may put an old log in the place of a newer one unseen."""
    made = made_backup(clinic, safe)

    report = restored(clinic, safe, made, replace=True)

    assert report.new_log_epoch
    assert count(clinic, AuditEpoch) == 2
    assert [n.kind for n in clinic.ctx.journal.lines()][-1] is LineKind.RESTORED
    assert count(clinic, Notice, Notice.kind == "restore_found") == 2
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
    made = made_backup(clinic, safe)
    newer = clinic.stores_film(family).id

    planned = restored(clinic, safe, made, replace=True, dry_run=True)
    with pytest.raises(Conflict) as full:
        restored(clinic, safe, made)
    clock_guard.beat(clinic.ctx)
    with pytest.raises(Conflict) as running:
        restored(clinic, safe, made, replace=True)

    assert (planned.there, planned.objects) == (made.objects, 0)
    assert (full.value.code, running.value.code) == ("not_empty", "running")
    assert clinic.watches(newer)
    assert not clinic.written_down(EventKind.RESTORE_FOUND)


def test_what_the_journal_is_still_owed_outlives_the_database(clinic: Clinic, safe: Safe) -> None:
    """A crash between an end and its line leaves the line to do; a restore must not lose it."""
    made = made_backup(clinic, safe)
    with clinic.ctx.begin() as uow:
        body = {"kind": "user", "id": clinic.guider.id}
        due = JournalDue(id=new_id(), kind="access-revoked", body=body, due_at=uow.at)
        uow.session.add(due)

    report = restored(clinic, safe, made, replace=True)

    assert report.brought_back == {"access_revoked": 1}
    assert count(clinic, UserAccount, UserAccount.active.is_(False)) == 1


def test_a_key_that_was_to_go_goes_before_its_note_is_lost(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """Somebody was noticed in the film and nobody asked them; the backup shows it to everyone.

    A crash, or a journal that was away, left the film's old key alive; no other place tells of it.
    """
    film, other = clinic.stores_film(family).id, clinic.stores_film(family).id
    made = made_backup(clinic, safe)
    newcomer = joins(clinic, family, None)
    dying = dataclasses.replace(clinic.ctx, journal=Ends(clinic.ctx.journal, Killed()))
    with pytest.raises(Killed):
        depicted.add_depicted(dying, clinic.guider, film, newcomer)
    planned = restored(clinic, safe, made, replace=True, dry_run=True)
    assert (planned.erased_since, count(clinic, JournalDue)) == (0, 1)

    report = restored(clinic, safe, made, replace=True)

    assert report.erased_since == 2, "ciphertext of the film and its sidecar"
    with pytest.raises(Gone):
        clinic.watches(film)
    assert clinic.watches(other)
    assert not startup.replay(clinic.ctx).found_restore


def test_an_erasure_that_was_ordered_and_not_yet_done_is_done_by_the_restored_database(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """Its line is all that is needed: the old database does not have to live until it is done."""
    film = clinic.stores_film(family).id
    made = made_backup(clinic, safe)
    dying = dataclasses.replace(clinic.ctx, journal=Ends(clinic.ctx.journal, Killed()))
    with pytest.raises(Killed):
        dataclasses.replace(clinic, ctx=dying).withdraws(family, family.mother)
    key = asset_row(clinic, film).asset_key_id
    assert clinic.ctx.keyring.status([key]) == {key: KeyStatus.LIVE}

    report = restored(clinic, safe, made, replace=True)

    assert report.brought_back == {"consent_ended": 1}
    with pytest.raises(Gone):
        clinic.watches(film)
    erasure.work(clinic.ctx, "after")
    assert clinic.ctx.keyring.status([key]) == {key: KeyStatus.DESTROYED}
    assert not clinic.objects()


def test_a_journal_that_lacks_what_the_old_database_knows_refuses_a_restore(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """The line of the backup is there; those that were cut since are known to the old rows alone."""
    film = clinic.stores_film(family).id
    made = made_backup(clinic, safe)
    clinic.withdraws(family, family.mother)
    journal = clinic.ctx.journal
    assert isinstance(journal, MemoryJournal)
    whole, journal._lines = journal._lines, journal._lines[: made.journal_line]

    for dry_run in (True, False):
        with pytest.raises(JournalBroken):
            restored(clinic, safe, made, replace=True, dry_run=dry_run)
    assert len(journal._lines) == made.journal_line, "another line would rule out the whole copy"
    journal._lines = whole
    report = restored(clinic, safe, made, replace=True)

    assert report.brought_back == {"consent_ended": 1}
    with pytest.raises(Gone):
        clinic.watches(film)


@pytest.mark.parametrize("spoilt", ["database.0001.age", "policies.0001.age", "film", "manifest"])
def test_a_backup_of_which_a_byte_was_changed_is_not_restored(
    clinic: Clinic, family: Family, safe: Safe, spoilt: str
) -> None:
    """Better no restore than one that fails half-way, or puts in what somebody made up."""
    film = clinic.stores_film(family).id
    made = made_backup(clinic, safe)
    path = {
        "film": backup_folder.object_path(made.folder, f"{film}.1"),
        "manifest": made.folder / backup_folder.MANIFEST,
    }.get(spoilt, made.folder / spoilt)
    content = path.read_bytes()
    at = content.index(b'"objects"') + 1 if spoilt == "manifest" else len(content) // 2
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])

    with pytest.raises(IntegrityFault):
        restored(clinic, safe, made, replace=True)

    assert clinic.watches(film)
    if spoilt != "manifest":
        found = restores.verify(clinic.ctx, clinic.admin, made.folder, safe.identity)
        assert found.faulty == (path.name,)
        assert not found.ok


def test_a_drill_finds_a_good_backup_good_and_leaves_nothing(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """A drill must be safe to run on any day, beside a service at work."""
    clinic.stores_film(family)
    other = consenting_family(clinic)
    kept = clinic.stores_film(other).id
    made = made_backup(clinic, safe)
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


def test_a_drill_asks_for_no_film_that_was_on_its_way_in_or_out(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """Somebody films at any hour: a good backup of that hour must not be thrown away for it."""
    stored, made = clinic.stores_film(family).id, []
    keep_film(clinic, family, Kept(state=AssetState.LOCKED))
    content = sample_film()

    def pieces() -> Iterator[bytes]:
        yield content[:1000]
        made.append(made_backup(clinic, safe))
        yield content[1000:]

    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    recordings.store(clinic.ctx, clinic.guider, request, pieces())

    found = restore_drill.drill(clinic.ctx, clinic.admin, made[0].folder, safe.identity)

    assert found.ok, found.faults
    assert found.films == 1
    assert clinic.watches(stored)


def test_a_drill_finds_what_would_come_back(clinic: Clinic, family: Family, safe: Safe) -> None:
    """An end that the journal was never told of is found on a quiet day."""
    made = made_backup(clinic, safe)
    with clinic.ctx.begin() as uow:
        uow.session.execute(
            update(UserAccount).where(UserAccount.id == clinic.guider.id).values(active=False)
        )

    found = restore_drill.drill(clinic.ctx, clinic.admin, made.folder, safe.identity)

    assert found.faults == (f"access {clinic.guider.id}",)
    [told] = clinic.written_down(EventKind.BACKUP_DRILLED)
    assert told.event.details["outcome"] == "broken"


def test_a_lost_keyring_comes_back_without_the_keys_that_were_destroyed(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A key backup opens what was destroyed since: for seven days, and never through us."""
    erased, other = clinic.stores_film(family).id, consenting_family(clinic)
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


def test_one_object_that_cannot_be_put_leaves_the_database_as_it_was(
    clinic: Clinic, family: Family, safe: Safe
) -> None:
    """Several are put at once: a fault of one must not be lost among those that went well."""
    films = [clinic.stores_film(family).id for _ in range(3)]
    made = made_backup(clinic, safe)
    for name in clinic.objects():
        clinic.ctx.blobs.delete(name)
    with clinic.ctx.begin() as uow:
        uow.session.execute(update(UserAccount).values(active=False))
    missing = backup_folder.object_path(made.folder, f"{films[1]}.1")
    content = missing.read_bytes()

    class Fails(MemoryStore):
        def put(self, name: str, **more: Any) -> Any:
            if name == missing.name:
                raise Unavailable("The store is away.")
            return clinic.ctx.blobs.put(name, **more)

    away = dataclasses.replace(clinic.ctx, blobs=Fails(clock=clinic.clock))
    with pytest.raises(Unavailable):
        restored(dataclasses.replace(clinic, ctx=away), safe, made, replace=True)

    assert count(clinic, UserAccount, UserAccount.active.is_(True)) == 0
    restored(clinic, safe, made, replace=True)
    assert clinic.ctx.blobs.read_range(missing.name, 0, len(content)) == content
    assert all(clinic.watches(film) for film in films)
