"""A PostgreSQL server of the tests' own, one for a whole session, built from Debian's packages.

Rules kept here:
  * nobody else's server is touched: new cluster, new folder, a unix socket in it and no TCP port;
  * durability stays at PostgreSQL's defaults, so what tests see is what clinics get;
  * as root the server runs as the package's own user, because PostgreSQL refuses root;
  * one server however many test processes ask, started when the first one does;
  * a session that was killed leaves a server behind, and the next session takes it away.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from filelock import FileLock
from psycopg import sql

ROLE = "consent"
_PREFIX = "consent-pg-"
_BINARIES = Path("/usr/lib/postgresql")
_SECONDS_TO_START = 60


class PostgresMissingError(RuntimeError):
    """The machine has no PostgreSQL server programs."""


@dataclass(frozen=True)
class PostgresServer:
    """Where one cluster lives. Cheap to make: any process may hold one for the same folder."""

    folder: Path

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    def url(self, database: str) -> str:
        """SQLAlchemy's address of a database on this server."""
        return f"postgresql+psycopg://{ROLE}@/{database}?host={self.folder}"

    def conninfo(self, database: str = "postgres") -> str:
        """libpq's address of a database on this server."""
        return f"host={self.folder} user={ROLE} dbname={database}"

    def require_running(self) -> None:
        """Start the server unless another process of this session already has."""
        with FileLock(self.folder / "start.lock", timeout=_SECONDS_TO_START):
            if not (self._cluster / "postmaster.pid").exists():
                self._create()
                self._start()

    def create(self, database: str) -> str:
        """Make an empty database; returns SQLAlchemy's address of it."""
        self.require_running()
        with psycopg.connect(self.conninfo(), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)

    def start_again(self) -> None:
        """Start a server that was stopped."""
        self._start()

    def stop(self) -> None:
        """Stop at once, without a last checkpoint: the folder goes next."""
        if self._runs():
            self._program("pg_ctl", "-D", str(self._cluster), "-m", "immediate", "-w", "stop")

    def _runs(self) -> bool:
        # The pid file outlives a killed machine, and its number may be anybody's by then.
        pid_file = self._cluster / "postmaster.pid"
        if not pid_file.exists():
            return False
        process = Path("/proc", pid_file.read_text(encoding="utf-8").split()[0], "cmdline")
        return process.exists() and os.fsencode(self._cluster) in process.read_bytes()

    def _create(self) -> None:
        names = ["-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        self._program("initdb", "-D", str(self._cluster), "--no-sync", "--no-instructions", *names)
        settings = [
            "listen_addresses = ''",
            f"unix_socket_directories = '{self.folder}'",
            "max_connections = 200",
        ]
        with (self._cluster / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\n".join(["", *settings, ""]))

    def _start(self) -> None:
        log = str(self._cluster / "server.log")
        wait = ["-w", "-t", str(_SECONDS_TO_START)]
        self._program("pg_ctl", "-D", str(self._cluster), *wait, "-l", log, "start")

    def _program(self, name: str, *arguments: str) -> None:
        # Output goes to a file, not a pipe: the server inherits it and would keep a pipe open.
        with (self.folder / f"{name}.log").open("ab") as log:
            done = subprocess.run(
                [binaries() / name, *arguments],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                **_without_root(),
            )
        if done.returncode != 0:
            said = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{name} ended with {done.returncode}:\n{said}")


@contextmanager
def server_folder() -> Iterator[Path]:
    """Yield a folder for one session's server, and at the end stop what runs in it.

    The folder is locked as long as this process lives: that is how a later session tells a
    server in use from one left behind by a killed session.
    """
    _remove_abandoned()
    # Not pytest's own folder: a socket's path must stay under 108 characters.
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(folder, *_unprivileged())
    with (folder / "owner.lock").open("w", encoding="utf-8") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _remove(folder)


def binaries() -> Path:
    """The newest installed server's programs."""
    versions = [path.parent for path in _BINARIES.glob("*/bin/initdb")]
    if not versions:
        raise PostgresMissingError(
            "PostgreSQL's server is not installed. Run ./dev test, or: apt-get install postgresql"
        )
    return max(versions, key=lambda path: int(path.parent.name))


def _without_root() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    user, group = _unprivileged()
    return {"user": user, "group": group, "extra_groups": []}


def _unprivileged() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise PostgresMissingError("PostgreSQL refuses root, and there is no user postgres or nobody.")


def _remove_abandoned() -> None:
    # Only a folder with a cluster in it: a younger one may not have been locked yet.
    for pid_file in Path("/tmp").glob(f"{_PREFIX}*/cluster/postmaster.pid"):
        folder = pid_file.parent.parent
        try:
            owner: IO[str] = (folder / "owner.lock").open("r+", encoding="utf-8")
        except OSError:
            continue
        with owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if folder.exists():  # or another session was there first
                _remove(folder)


def _remove(folder: Path) -> None:
    try:
        PostgresServer(folder).stop()
    finally:
        shutil.rmtree(folder)
