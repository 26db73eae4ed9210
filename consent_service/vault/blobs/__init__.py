"""Where encrypted objects lie: one port, adapters for a folder, a bucket and memory.

A store holds ciphertext and sidecars and knows neither keys nor people. Names are ids and codes.

What every adapter promises (tests/contracts/test_blob_store.py):
- an object is there whole or not at all, and it is durable once `put` has ended;
- `put` replaces nothing unless told to;
- `delete` takes every version, may be repeated, and is durable when it returns;
- an object that was being written is listed by `list_unfinished`, and once it is discarded its
  writer cannot finish it (`Gone`);
- faults are `NotFound`, `Conflict`, `Gone`, `DiskFull` and `Unavailable`, naming the object only.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import SplitResult, unquote, urlsplit

from consent_service.clock import Clock, SystemClock
from consent_service.errors import Conflict, Gone, NotFound, SettingsFault, Unavailable
from consent_service.ids import new_id

SETTING = "CONSENT_BLOB_URL"
NAME_MAX = 180
_NAME = re.compile(rf"[0-9a-z][0-9a-z.-]{{0,{NAME_MAX - 1}}}")
LOCAL_STRIDE = 256 * 1024
_PROBE = b"This object proves that the store can write, read and delete."


class BlobSink(Protocol):
    """Takes the bytes of one new object, in order."""

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        """Write all of `buffer` and return its length in bytes."""
        ...


@dataclass(frozen=True)
class Seen:
    """What an opening saw: how long the object is, in bytes, and a mark of just this object."""

    size: int
    mark: str


class BlobSource(Protocol):
    """Reads one object at any offset; a context manager that lets go of it at the end.

    It reads the object it opened and no other: where that is replaced or deleted meanwhile it goes
    on, or raises Gone.
    """

    @property
    def size(self) -> int:
        """The object's length in bytes."""
        ...

    @property
    def seen(self) -> Seen:
        """What to open the same object with again."""
        ...

    @property
    def stride(self) -> int:
        """How many bytes a long reading should ask for at a time."""
        ...

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` from `offset` on; returns how many bytes, fewer at the end only."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *fault: object) -> None: ...


@dataclass(frozen=True)
class Unfinished:
    """An object whose writing began and neither ended nor was cleared away."""

    name: str
    started_at: datetime


class BlobStore(Protocol):
    """Objects of bytes by name; see the module for what is promised."""

    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> AbstractContextManager[BlobSink]:
        """Write a new object inside `with`; it appears, durable, when the block ends well.

        An exception in the block leaves nothing. `expected_size` (bytes) reserves room, so that a
        full disk is known at the start. Raises Conflict when the name is taken and `replace` is
        false, Gone when the object was discarded while it was written.
        """
        ...

    def open(self, name: str, seen: Seen | None = None) -> BlobSource:
        """Open an object for reading; raises NotFound.

        With what an earlier opening saw, a store across a network is asked nothing yet, and an
        object that is another by now is Gone, at the latest when it is read.
        """
        ...

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer where the object ends; raises NotFound."""
        ...

    def delete(self, name: str) -> bool:
        """Remove every version, durably; returns whether there was one. May be repeated."""
        ...

    def delete_many(self, names: Collection[str]) -> None:
        """Remove every version of many objects, durably; may be repeated.

        As `delete` for each of them, for the price of a few. Where one fails, some may be gone.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order."""
        ...

    def list_unfinished(self) -> Iterator[Unfinished]:
        """Yield what began to be written and is not there yet, in order of name."""
        ...

    def discard_unfinished(self, name: str) -> None:
        """Throw away, durably, whatever was being written under `name`."""
        ...

    def check(self) -> None:
        """Write, read back and delete a small object; raises Unavailable or DiskFull."""
        ...


def open_store(url: str, *, clock: Clock | None = None, must_exist: bool = False) -> BlobStore:
    """Return the store at `file:///folder`, `s3://bucket` or a new `memory://`.

    A missing folder is made, unless it `must_exist`; a missing bucket is not. Raises SettingsFault.
    """
    from consent_service.vault.blobs.folder import FolderStore
    from consent_service.vault.blobs.memory import MemoryStore

    parts = urlsplit(url)
    clock = clock or SystemClock()
    if parts.scheme == "file":
        return FolderStore(local_path(parts, SETTING), clock=clock, must_exist=must_exist)
    if parts.scheme == "memory":
        return MemoryStore(clock=clock)
    if parts.scheme == "s3":
        # Its libraries take a third of a second to load, which a folder need not wait for.
        from consent_service.vault.blobs.s3 import open_bucket

        return open_bucket(url)
    raise SettingsFault(
        f"{SETTING}: there is no store for {parts.scheme or 'an address without a scheme'}. "
        "Use file:///folder or s3://bucket/prefix.",
        setting=SETTING,
    )


def local_path(parts: SplitResult, setting: str) -> Path:
    """Return the absolute path of a `file:///` address; raises SettingsFault naming `setting`."""
    path = Path(unquote(parts.path))
    if parts.netloc or parts.query or parts.fragment or not path.is_absolute():
        raise SettingsFault(
            f"{setting}: a file address is file:/// and an absolute path, nothing else.",
            setting=setting,
        )
    return path


def is_name(text: str) -> bool:
    """Tell whether an object may be called `text`."""
    return _NAME.fullmatch(text) is not None


def require_name(name: str) -> str:
    """Return `name`; raises ValueError when no object may be called so."""
    if not is_name(name):
        raise ValueError("an object's name has 0-9 a-z . - only and begins with a digit or letter")
    return name


def range_of(source: BlobSource, offset: int, length: int) -> bytes:
    """Return `length` bytes of `source` from `offset`, fewer where it ends."""
    if offset < 0 or length < 0:
        raise ValueError("neither offset nor length is negative")
    buffer = bytearray(max(0, min(length, source.size - offset)))
    count = source.read_into(offset, buffer)
    return bytes(memoryview(buffer)[:count])


def prove(store: BlobStore) -> None:
    """Write, read back and delete a small object in `store`; raises Unavailable or DiskFull."""
    name = f"probe-{new_id()}"
    try:
        with store.put(name, expected_size=len(_PROBE)) as sink:
            sink.write(_PROBE)
        found = store.read_range(name, 0, len(_PROBE) + 1)
    finally:
        deleted = store.delete(name)
    if found != _PROBE or not deleted:
        raise Unavailable("The store does not give back what was put. Check the disk.")


def absent(name: str) -> NotFound:
    """Return the refusal for an object that is not there."""
    return NotFound(f"The store holds no object {name}.", name=name)


def taken(name: str) -> Conflict:
    """Return the refusal for a name that is taken."""
    return Conflict(f"The store already holds an object {name}.", code="exists", name=name)


def replaced(name: str) -> Gone:
    """Return the refusal for an object that is not the one that was opened."""
    return Gone(f"Object {name} was replaced or deleted while it was read.", name=name)


def discarded(name: str) -> Gone:
    """Return the refusal for an object that was discarded while it was written."""
    return Gone(f"Object {name} was discarded while it was being written.", name=name)
