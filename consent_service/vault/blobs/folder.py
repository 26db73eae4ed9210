"""A store in a folder: `ab/abcdef…` for objects, `.unfinished/` for those being written.

Rules kept here:
- a new object is written under a temporary name, synced, renamed, and both folders are synced;
- whoever finishes an object holds its folder's lock, so that no two take one name;
- a deletion is durable before it is reported;
- reads use `preadv` into the caller's buffer and never follow a symbolic link.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from consent_service.clock import Clock, SystemClock
from consent_service.errors import SettingsFault
from consent_service.vault import durable
from consent_service.vault.blobs import (
    LOCAL_STRIDE,
    Seen,
    Unfinished,
    absent,
    discarded,
    is_name,
    prove,
    range_of,
    replaced,
    require_name,
    taken,
)

_UNFINISHED = ".unfinished"
_TEMPORARY = re.compile(r"(?P<name>[0-9a-z.-]+)~(?P<moment>\d+)~[0-9a-f]+")
_SENT_AT_ONCE = 1024 * 1024
"""After so many bytes the disk is told to begin: the end of a long object then need not wait for
all of it. Linux writes what is dirty when it is told that nobody needs it in memory any more."""
_FAN_OUT = re.compile(r"[0-9a-z][0-9a-z.-]?")


class FolderStore:
    """Objects as files below `root`; may be used from many threads and processes."""

    def __init__(self, root: Path, *, clock: Clock | None = None, must_exist: bool = False) -> None:
        """Open the store; a folder that is missing or empty is begun, unless it `must_exist`."""
        self._root = root
        self._unfinished = root / _UNFINISHED
        self._clock = clock or SystemClock()
        with durable.system_faults("making the store's folder"):
            if must_exist:
                _require_store(root)
            durable.make_folder(self._unfinished)

    @contextlib.contextmanager
    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> Iterator["FolderSink"]:
        """Write a new object; see the port."""
        final = self._path(name)
        with durable.system_faults(f"beginning object {name}"):
            _require_free(final, replace)
        temporary = self._temporary_path(name)
        sink = FolderSink(name, temporary)
        try:
            with sink:
                sink.reserve(expected_size)
                yield sink
                sink.sync()
            self._finish(name, temporary, replace)
        except BaseException:
            with durable.system_faults(f"giving up object {name}"):
                temporary.unlink(missing_ok=True)
            raise

    def open(self, name: str, seen: Seen | None = None) -> "FolderSource":
        """Open an object for reading; raises NotFound, and Gone where `seen` was another."""
        source = FolderSource(name, self._path(name))
        if seen is not None and seen != source.seen:
            source.__exit__()
            raise replaced(name)
        return source

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer where the object ends; raises NotFound."""
        with self.open(name) as source:
            return range_of(source, offset, length)

    def delete(self, name: str) -> bool:
        """Remove an object; returns whether there was one.

        Syncs even when there was none: an earlier try may have been killed before it synced.
        """
        path = self._path(name)
        with durable.system_faults(f"deleting object {name}"):
            was_there = _unlink(path)
            if path.parent.exists():
                durable.sync_folder(path.parent)
        return was_there

    def delete_many(self, names: Collection[str]) -> None:
        """Remove many objects, then sync each of their folders once."""
        paths = [self._path(name) for name in names]
        with durable.system_faults("deleting objects"):
            for path in paths:
                _unlink(path)
            for folder in sorted({path.parent for path in paths}):
                if folder.exists():
                    durable.sync_folder(folder)

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order; passes over foreign files."""
        with durable.system_faults("listing the store"):
            folders = [folder for folder in _names(self._root) if _may_hold(folder, prefix)]
        for folder in folders:
            with durable.system_faults("listing the store"):
                names = _names(self._root / folder)
            yield from (n for n in names if n[:2] == folder and n.startswith(prefix) and is_name(n))

    def list_unfinished(self) -> Iterator[Unfinished]:
        """Yield what began to be written and is not there yet, in order of name."""
        with durable.system_faults("listing unfinished objects"):
            names = _names(self._unfinished)
        for found in filter(None, map(_TEMPORARY.fullmatch, names)):
            moment = int(found["moment"]) / 1_000_000
            yield Unfinished(found["name"], datetime.fromtimestamp(moment, UTC))

    def discard_unfinished(self, name: str) -> None:
        """Throw away whatever was being written under `name`; its writer cannot finish it."""
        with durable.system_faults(f"discarding unfinished object {name}"):
            for found in self._unfinished.glob(f"{require_name(name)}~*"):
                _unlink(found)
            durable.sync_folder(self._unfinished)

    def check(self) -> None:
        """Write, read back and delete a small object."""
        prove(self)

    def _path(self, name: str) -> Path:
        return self._root / require_name(name)[:2] / name

    def _temporary_path(self, name: str) -> Path:
        """Return a new name that carries the object's and the moment, in microseconds."""
        moment = round(self._clock.now().timestamp() * 1_000_000)
        return self._unfinished / f"{name}~{moment}~{secrets.token_hex(8)}"

    def _finish(self, name: str, temporary: Path, replace: bool) -> None:
        final = self._path(name)
        with durable.system_faults(f"finishing object {name}"):
            durable.make_folder(final.parent)
            with durable.locked_folder(final.parent) as folder:
                _require_free(final, replace)
                try:
                    temporary.rename(final)
                except FileNotFoundError as fault:
                    raise discarded(name) from fault
                _sync_or_take_back(folder, final)
            durable.sync_folder(self._unfinished)


def _require_store(root: Path) -> None:
    """Raise SettingsFault `store_missing` where there is nothing, as before its disk is mounted.

    What is written there would be hidden by the disk once that is mounted.
    """
    if root.is_dir() and any(root.iterdir()):
        return
    raise SettingsFault(
        f"The film store is missing: there is nothing in {root}. Mount its disk, or correct"
        " CONSENT_BLOB_URL. Where it is lost, put film back with `consent-service backups restore`."
        f" To go on without any, make the folder {root / _UNFINISHED}.",
        code="store_missing",
    )


class FolderSink:
    """Writes one new object to its temporary file."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._size = self._sent = 0
        with durable.system_faults(f"beginning object {name}"):
            self._fd = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, durable.FILE_MODE
            )

    def reserve(self, size: int | None) -> None:
        """Take `size` bytes of the disk now, so that a full disk is known before the work."""
        if size:
            with durable.system_faults(f"reserving room for object {self._name}"):
                os.posix_fallocate(self._fd, 0, size)

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        """Write all of `buffer` and return its length in bytes."""
        if self._fd < 0:
            raise ValueError("this object has been finished or given up")
        view = memoryview(buffer).cast("B")
        with durable.system_faults(f"writing object {self._name}"):
            durable.write_all(self._fd, view)
        self._size += len(view)
        if self._size - self._sent >= _SENT_AT_ONCE:
            self._send_on()
        return len(view)

    def _send_on(self) -> None:
        """Have the disk begin with what was written last; waits for nothing, promises nothing."""
        new = self._size - self._sent
        # Advice only: a file system that takes none is as safe, since `sync` asks for all of it.
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, self._sent, new, os.POSIX_FADV_DONTNEED)
        self._sent = self._size

    def sync(self) -> None:
        """Give back room that was not needed, then make every byte durable."""
        with durable.system_faults(f"writing object {self._name}"):
            os.ftruncate(self._fd, self._size)
            os.fdatasync(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        fd, self._fd = self._fd, -1
        with durable.system_faults(f"closing object {self._name}"):
            os.close(fd)


class FolderSource:
    """Reads one object through its open file."""

    stride = LOCAL_STRIDE

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        with durable.system_faults(f"opening object {name}"):
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError as fault:
                raise absent(name) from fault
            found = os.fstat(self._fd)
        self.seen = Seen(found.st_size, f"{found.st_ino}~{found.st_mtime_ns}")

    @property
    def size(self) -> int:
        """The object's length in bytes."""
        return self.seen.size

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` from `offset` on; returns how many bytes."""
        if offset < 0 or self._fd < 0:
            raise ValueError("an offset is not negative, and a closed object is not read")
        rest = memoryview(buffer).cast("B")
        wanted = len(rest)
        with durable.system_faults(f"reading object {self._name}"):
            while rest and (count := os.preadv(self._fd, [rest], offset)):
                offset += count
                rest = rest[count:]
        return wanted - len(rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def _may_hold(folder: str, prefix: str) -> bool:
    return bool(_FAN_OUT.fullmatch(folder)) and folder.startswith(prefix[:2])


def _require_free(path: Path, replace: bool) -> None:
    if not replace and path.exists():
        raise taken(path.name)


def _sync_or_take_back(folder: int, final: Path) -> None:
    """Make the new name durable; where that fails, the object must not look as if it were."""
    try:
        os.fsync(folder)
    except OSError:
        _unlink(final)
        raise
