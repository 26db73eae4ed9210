"""A lost keyring comes back while the database is away, broken or new: said first, or done whole."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import Engine, create_engine

from consent_service.cli.terminal import operator
from consent_service.db.engine import open_engine
from consent_service.errors import Unavailable
from consent_service.services import journal_whole, key_rotation
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import Keyring
from tests.support.clinic import Clinic
from tests.support.processes import free_port
from tests.support.safe import consenting_family

OWNER = pyrage.x25519.Identity.generate()


@pytest.fixture
def kept(clinic: Clinic) -> io.BytesIO:
    """A key backup of a clinic with a consenting family."""
    consenting_family(clinic)
    file = io.BytesIO()
    key_rotation.backup(clinic.ctx, clinic.admin, file, str(OWNER.to_public()))
    file.seek(0)
    return file


@pytest.fixture
def lost(clinic: Clinic, kept: io.BytesIO, tmp_path: Path) -> Iterator[Clinic]:
    """The clinic with an empty keyring in place of its own."""
    memory = MemoryKeyProvider(), MemoryKeyProvider()
    ring = Keyring(f"sqlite:///{tmp_path}/new.sqlite3", *memory)
    clinic.ctx.keyring.close()
    clinic.ctx = dataclasses.replace(clinic.ctx, keyring=ring)
    yield clinic
    ring.close()


def _server_away(_folder: Path) -> Engine:
    return create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")


def _no_folder(folder: Path) -> Engine:
    return open_engine(f"sqlite:///{folder}/not-mounted/domain.sqlite3")


def _not_a_database(folder: Path) -> Engine:
    (folder / "broken.sqlite3").write_bytes(b"no database at all" * 1000)
    return open_engine(f"sqlite:///{folder}/broken.sqlite3")


def _new(folder: Path) -> Engine:
    return open_engine(f"sqlite:///{folder}/empty.sqlite3")


@pytest.mark.parametrize("database", [_server_away, _no_folder])
def test_while_the_database_is_away_no_key_comes_and_it_says_what_to_do(
    lost: Clinic, kept: io.BytesIO, tmp_path: Path, database: Callable[[Path], Engine]
) -> None:
    """It says whether the journal is whole and what has to be sealed again; so it comes first."""
    ctx = dataclasses.replace(lost.ctx, engine=database(tmp_path))

    with pytest.raises(Unavailable, match=r"Start it or, where it is lost, make an empty one"):
        key_rotation.restore(ctx, operator(), kept, str(OWNER))

    assert list(ctx.keyring.list_keys()) == []
    journal_whole.require_what_is_known(ctx)
    assert key_rotation.restore(lost.ctx, operator(), kept, str(OWNER)).restored > 0
    ctx.engine.dispose()


@pytest.mark.parametrize("database", [_not_a_database, _new])
def test_where_the_database_is_lost_too_the_keys_come_back(
    lost: Clinic, kept: io.BytesIO, tmp_path: Path, database: Callable[[Path], Engine]
) -> None:
    """It is put back next, and the start after that seals again."""
    ctx = dataclasses.replace(lost.ctx, engine=database(tmp_path))

    came = key_rotation.restore(ctx, operator(), kept, str(OWNER))

    assert came.restored == len(list(ctx.keyring.list_keys())) > 0
    ctx.engine.dispose()
