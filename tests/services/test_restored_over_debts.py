"""A database is replaced that still owes something: that is done first, or nothing is replaced."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from consent_service.db.engine import open_engine
from consent_service.db.models.jobs import JournalDue
from consent_service.domain.audit import EventKind
from consent_service.errors import JournalBroken, Unavailable
from consent_service.services import depicted, restores
from consent_service.services.context import Context, Standing
from consent_service.vault.keyring import KeyStatus
from tests.services.test_standing import Says
from tests.support.clinic import Clinic, Family
from tests.support.journal_away import OUT_OF_REACH, journal_away
from tests.support.kept_film import asset_row
from tests.support.processes import free_port
from tests.support.safe import (
    Safe,
    consenting_mother,
    count,
    film_of_mother_and_baby,
    made_backup,
    open_safe,
    restored,
)


@pytest.fixture
def safe(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Safe:
    """A disk for backups, and what opens them."""
    return open_safe(clinic, tmp_path_factory.mktemp("safe"))


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which the mother has said yes, for herself and for the baby."""
    found = consenting_mother(clinic)
    clinic.passes(minutes=5)
    return found


@pytest.fixture
def film(clinic: Clinic, family: Family) -> str:
    """A film of mother and baby."""
    return film_of_mother_and_baby(clinic, family)


def _notices_father(clinic: Clinic, family: Family, film: str) -> str:
    """Note that he is in it, while its old key cannot go; returns that key."""
    old = asset_row(clinic, film).asset_key_id
    with journal_away(clinic.ctx.journal):
        depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)
    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.LIVE}
    clinic.passes(minutes=5)
    return old


def test_while_it_cannot_go_nothing_is_replaced(
    clinic: Clinic, family: Family, film: str, safe: Safe
) -> None:
    """Neither without a good look at the journal nor without its line; then the same does it."""
    made = made_backup(clinic, safe)
    old = _notices_father(clinic, family, film)
    standing, clinic.ctx = clinic.ctx, _in_doubt(clinic)
    with pytest.raises(JournalBroken):
        restored(clinic, safe, made, replace=True)
    clinic.ctx = standing
    with journal_away(clinic.ctx.journal, OUT_OF_REACH), pytest.raises(Unavailable):
        restored(clinic, safe, made, replace=True)
    assert count(clinic, JournalDue) == 1
    assert clinic.written_down(EventKind.RESTORE_FOUND) == []
    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.LIVE}

    restored(clinic, safe, made, replace=True)

    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.DESTROYED}


def _in_doubt(clinic: Clinic) -> Context:
    """The clinic as a process has it that finds the journal cut."""
    watch = Says()
    watch.fault = JournalBroken("It was cut.")
    standing = Standing()
    standing.follow(watch)
    return dataclasses.replace(clinic.ctx, standing=standing)


def test_a_database_that_is_away_is_not_taken_for_one_that_is_lost(
    clinic: Clinic, film: str, safe: Safe, tmp_path: Path
) -> None:
    """It may come back a moment later, and would be replaced with all that it owes."""
    made = made_backup(clinic, safe)
    for name in clinic.objects():
        clinic.ctx.blobs.delete(name)
    away = dataclasses.replace(clinic.ctx, engine=_away(clinic, tmp_path))
    wanted = restores.RestoreBackup(made.folder, safe.identity, replace=True)

    with pytest.raises(Unavailable, match="what it knows is needed first"):
        restores.restore(away, clinic.admin, wanted)

    assert clinic.objects() == set()
    away.engine.dispose()


@pytest.mark.parametrize("dry_run", [False, True])
def test_one_that_is_away_is_not_said_to_be_full(
    clinic: Clinic, film: str, safe: Safe, tmp_path: Path, dry_run: bool
) -> None:
    """Who reads *add --replace* does so, and gives up what nobody has looked at."""
    made = made_backup(clinic, safe)
    away = dataclasses.replace(clinic.ctx, engine=_away(clinic, tmp_path))
    wanted = restores.RestoreBackup(made.folder, safe.identity, dry_run=dry_run)

    with pytest.raises(Unavailable, match="what it knows is needed first"):
        restores.restore(away, clinic.admin, wanted)

    away.engine.dispose()


def test_a_backup_is_found_sound_while_the_database_is_away(
    clinic: Clinic, film: str, safe: Safe, tmp_path: Path
) -> None:
    """It takes hours, and whoever has lost a server needs the answer more than its entry."""
    made = made_backup(clinic, safe)
    away = dataclasses.replace(clinic.ctx, engine=_away(clinic, tmp_path))

    found = restores.verify(away, clinic.admin, made.folder, safe.identity)

    assert found.ok and found.opens
    away.engine.dispose()


def test_a_damaged_database_is_given_up_by_a_person_and_not_by_a_restore(
    clinic: Clinic, film: str, safe: Safe
) -> None:
    """What it owes cannot be read: whoever gives that up should know, and how it is done."""
    made = made_backup(clinic, safe)
    for name in clinic.objects():
        clinic.ctx.blobs.delete(name)

    with (
        _damaged(clinic.ctx.engine, "journal_due"),
        pytest.raises(Unavailable, match="database is damaged"),
    ):
        restored(clinic, safe, made, replace=True)

    assert clinic.objects() == set()


@contextmanager
def _damaged(engine: Engine, table: str) -> Iterator[None]:
    """Have a database of which this table cannot be read; a lent one is whole again afterwards."""
    if engine.dialect.name == "sqlite":
        _overwrite_pages(engine, table)
        yield
        return
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {table}_lost"))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {table}_lost RENAME TO {table}"))


def _overwrite_pages(engine: Engine, table: str) -> None:
    with engine.connect() as connection:
        size = connection.scalar(text("PRAGMA page_size"))
        places = text("SELECT rootpage FROM sqlite_schema WHERE tbl_name = :table AND rootpage > 0")
        pages = connection.scalars(places, {"table": table}).all()
    engine.dispose()
    with Path(str(engine.url.database)).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)


def _away(clinic: Clinic, folder: Path) -> Engine:
    """An engine of the clinic's kind whose database cannot be reached."""
    if clinic.ctx.engine.dialect.name == "sqlite":
        return open_engine(f"sqlite:///{folder}/not-mounted/domain.sqlite3")
    return create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
