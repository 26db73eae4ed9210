"""Files that survive a power cut: written whole, synced, renamed, and the folder synced after.

Rules kept here:
- nothing is visible under its final name before its bytes are on the disk;
- a full disk is `DiskFull`, every other fault of the system is `Unavailable`; the cause is chained;
- files are 0600 and folders 0700, whatever the umask says.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from consent_service.errors import DiskFull, Unavailable

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def system_faults(what: str) -> Iterator[None]:
    """Turn an OSError into `DiskFull` or `Unavailable`; `what` says what could not be done.

    The message names the system's error code and never the path.
    """
    try:
        yield
    except OSError as fault:
        code = errno.errorcode.get(fault.errno or 0, "unknown")
        if fault.errno in _FULL:
            raise DiskFull(
                f"The disk is full: {what} failed and nothing half-done stays. "
                "Make room, then try again.",
                system_code=code,
            ) from fault
        raise Unavailable(
            f"{what[:1].upper()}{what[1:]} failed with {code}. "
            "Check the disk and its permissions, then try again.",
            system_code=code,
        ) from fault


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, 0700, durably; an existing one stays as it is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were added to or removed from `folder` durable."""
    with open_folder(folder) as fd:
        os.fsync(fd)


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[int]:
    """Open `folder` and yield its descriptor."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[int]:
    """Hold `folder` for this thread alone, across processes; a killed holder lets go."""
    with open_folder(folder) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd


def write_all(fd: int, content: bytes | bytearray | memoryview) -> None:
    """Write every byte of `content` at the descriptor's position."""
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, replacing what was there: the old bytes or the new, never a mix."""
    temporary = path.with_name(f".{path.name}~{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    try:
        try:
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
