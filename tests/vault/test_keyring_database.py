"""The keyring's database: who may read its file, what a fault of it is called."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from consent_service.errors import DiskFull, SettingsFault, Unavailable
from consent_service.vault.keyring import KeyKind
from consent_service.vault.keyring_database import KeyringDatabase, require_keyring_file
from tests.support.keyrings import AT, KeyringHome, make_keys


@pytest.fixture
def file_home(tmp_path: Path) -> KeyringHome:
    """A keyring in a file, in a folder that does not exist yet."""
    return KeyringHome(f"sqlite:///{tmp_path}/keys/keyring.db")


def test_only_the_owner_may_read_the_keyring(file_home: KeyringHome, tmp_path: Path) -> None:
    """The file, its log and its locks alike."""
    make_keys(file_home.open(), 1)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}

    assert {"keyring.db", "keyring.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_a_keyring_that_is_not_there_is_said_to_be_missing(
    file_home: KeyringHome, tmp_path: Path
) -> None:
    """Opening it would make an empty one, in which no film has its key."""
    with pytest.raises(SettingsFault) as refused:
        require_keyring_file(file_home.url)

    assert refused.value.code == "keyring_missing"
    assert str(tmp_path / "keys" / "keyring.db") in refused.value.message
    assert not (tmp_path / "keys").exists()
    file_home.open()
    require_keyring_file(file_home.url)


def test_a_keyring_on_a_server_is_not_looked_for_as_a_file() -> None:
    """Whether it is there only the server can say, when it is asked."""
    require_keyring_file("postgresql+psycopg://keeper@nowhere.example/keyring")


def test_every_connection_overwrites_what_it_deletes(file_home: KeyringHome) -> None:
    """Some builds of SQLite do not unless they are told; and a commit is on the disk."""
    database = KeyringDatabase(file_home.url)

    with database.read() as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("secure_delete", "synchronous", "journal_mode", "temp_store")
        ]

    assert values == [1, 2, "wal", 2]
    database.close()


def test_a_commit_waits_for_the_disk_on_a_server_that_does_not(home: KeyringHome) -> None:
    """An operator may have switched it off for the whole server; for keys it is on."""
    database = KeyringDatabase(home.url)

    with database.read() as connection:
        setting = (
            "PRAGMA synchronous"
            if connection.dialect.name == "sqlite"
            else "SHOW synchronous_commit"
        )
        assert connection.scalar(text(setting)) in (2, "on")
    database.close()


def test_after_an_end_the_log_is_empty(file_home: KeyringHome, tmp_path: Path) -> None:
    """Before it is emptied, the write-ahead log holds pages with the deleted row."""
    keyring = file_home.open()
    ids = make_keys(keyring, 3)
    log = tmp_path / "keys" / "keyring.db-wal"
    assert log.stat().st_size > 0

    keyring.destroy(ids, "order", AT)

    assert log.stat().st_size == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://host/keys",
        "postgresql://host/keys",
        "keys.db",
    ],
)
def test_an_address_that_cannot_hold_a_keyring_names_the_setting(url: str) -> None:
    """Keys in memory would be lost with the process, and with them every film."""
    with pytest.raises(SettingsFault, match="CONSENT_KEYRING_URL"):
        KeyringDatabase(url)


@pytest.mark.parametrize("scheme", ["sqlite", "postgresql+psycopg"])
def test_a_database_that_is_not_there_is_unavailable(scheme: str, tmp_path: Path) -> None:
    """Neither address nor values stand in the message."""
    (tmp_path / "file").write_text("in the way")
    place = f"/{tmp_path}/file/keyring.db" if scheme == "sqlite" else f"/x?host={tmp_path}"

    with pytest.raises(Unavailable) as refused:
        KeyringDatabase(f"{scheme}://{place}")

    assert str(tmp_path) not in refused.value.message


def test_a_file_that_is_no_database_is_unavailable(file_home: KeyringHome, tmp_path: Path) -> None:
    """A damaged keyring is never mistaken for an empty one."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "keyring.db").write_bytes(b"not a database, but long enough " * 100)

    with pytest.raises(Unavailable, match="DatabaseError"):
        file_home.open()


def test_a_full_disk_says_so(file_home: KeyringHome) -> None:
    """Then nothing of the transaction stays."""
    database = KeyringDatabase(file_home.url)

    with pytest.raises(DiskFull), database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
        connection.exec_driver_sql("CREATE TABLE more AS SELECT randomblob(100000)")
    database.close()


def test_an_instant_needs_a_zone(file_home: KeyringHome) -> None:
    """A naive time would be read as another on the next machine."""
    keyring = file_home.open()

    with pytest.raises(StatementError, match="time zone"):
        keyring.create("key", KeyKind.CONSENT, 1, AT.replace(tzinfo=None))


def test_a_keyring_locked_for_too_long_is_unavailable(
    file_home: KeyringHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks at it with a tool and forgot to close."""
    monkeypatch.setattr(
        "consent_service.vault.keyring_database._PRAGMAS", ("PRAGMA busy_timeout=1",)
    )
    keyring = file_home.open()
    make_keys(keyring, 1)
    other = sqlite3.connect(tmp_path / "keys" / "keyring.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="OperationalError"):
        make_keys(keyring, 1)

    other.close()
