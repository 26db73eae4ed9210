"""Keyrings for the vault's tests, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.vault.keyring import Keyring
from consent_service.vault.keyring_database import KeyringDatabase
from tests.support.databases import Databases
from tests.support.keyrings import KeyringHome
from tests.support.seaweed import Seaweed
from tests.vault.journals import BucketDesk, Desk


def make_tables(url: str) -> None:
    """Make a keyring's tables, without a row."""
    KeyringDatabase(url).close()


@pytest.fixture
def home(databases: Databases) -> Iterator[KeyringHome]:
    """An empty keyring's home, on each engine in turn."""
    with databases.ready(make_tables) as url:
        home = KeyringHome(url)
        yield home
        home.close()


@pytest.fixture
def keyring(home: KeyringHome) -> Keyring:
    """An empty keyring, on each engine in turn."""
    return home.open()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Keys and a place for a journal's file; neither file nor folder is there yet."""
    return Desk.at(tmp_path / "outside" / "journal.jsonl")


@pytest.fixture
def bucket_desk(tmp_path: Path, object_store: Seaweed) -> BucketDesk:
    """The same with an empty prefix of a real bucket for a place."""
    desk = Desk.at(tmp_path / "nowhere")
    return BucketDesk(
        desk.path, desk.signer, desk.keys, object_store.store_url(), object_store.client()
    )


@pytest.fixture(params=["desk", "bucket_desk"])
def shelf(request: pytest.FixtureRequest) -> Desk:
    """A file, then a bucket: what may not be done to a journal in either."""
    desk: Desk = request.getfixturevalue(request.param)
    return desk
