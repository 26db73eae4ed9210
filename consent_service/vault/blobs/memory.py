"""A store in memory, for tests and the demo: every promise kept while the process lives."""

import contextlib
import threading
from collections.abc import Collection, Iterator
from typing import Self

from consent_service.clock import Clock, SystemClock
from consent_service.vault.blobs import (
    LOCAL_STRIDE,
    Seen,
    Unfinished,
    absent,
    discarded,
    prove,
    range_of,
    replaced,
    require_name,
    taken,
)


class MemoryStore:
    """Objects in a dictionary; may be used from many threads."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}
        self._unfinished: dict[MemorySink, Unfinished] = {}

    @contextlib.contextmanager
    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> Iterator["MemorySink"]:
        """Write a new object; `expected_size` reserves nothing here."""
        sink = MemorySink()
        with self._lock:
            self._require_free(require_name(name), replace)
            self._unfinished[sink] = Unfinished(name, self._clock.now())
        try:
            yield sink
            with self._lock:
                self._require_free(name, replace)
                if sink not in self._unfinished:
                    raise discarded(name)
                self._objects[name] = bytes(sink.content)
        finally:
            sink.closed = True
            with self._lock:
                self._unfinished.pop(sink, None)

    def open(self, name: str, seen: Seen | None = None) -> "MemorySource":
        """Open an object for reading; raises NotFound, and Gone where `seen` was another."""
        try:
            source = MemorySource(self._objects[require_name(name)])
        except KeyError as fault:
            raise absent(name) from fault
        if seen is not None and seen != source.seen:
            raise replaced(name)
        return source

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer where the object ends; raises NotFound."""
        with self.open(name) as source:
            return range_of(source, offset, length)

    def delete(self, name: str) -> bool:
        """Remove an object; returns whether there was one."""
        with self._lock:
            return self._objects.pop(require_name(name), None) is not None

    def delete_many(self, names: Collection[str]) -> None:
        """Remove many objects."""
        for name in names:
            self.delete(name)

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order."""
        with self._lock:
            names = sorted(name for name in self._objects if name.startswith(prefix))
        yield from names

    def list_unfinished(self) -> Iterator[Unfinished]:
        """Yield what began to be written and is not there yet, in order of name."""
        with self._lock:
            unfinished = list(self._unfinished.values())
        yield from sorted(unfinished, key=lambda one: one.name)

    def discard_unfinished(self, name: str) -> None:
        """Throw away whatever was being written under `name`."""
        require_name(name)
        with self._lock:
            for sink in [s for s, one in self._unfinished.items() if one.name == name]:
                del self._unfinished[sink]

    def check(self) -> None:
        """Write, read back and delete a small object."""
        prove(self)

    def _require_free(self, name: str, replace: bool) -> None:
        if name in self._objects and not replace:
            raise taken(name)


class MemorySink:
    """Collects the bytes of one new object."""

    waits = False

    def __init__(self) -> None:
        self.content = bytearray()
        self.closed = False

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        """Append all of `buffer` and return its length in bytes."""
        if self.closed:
            raise ValueError("this object has been finished or given up")
        view = memoryview(buffer).cast("B")
        self.content += view
        return len(view)


class MemorySource:
    """Reads one object that will not change."""

    stride = LOCAL_STRIDE

    def __init__(self, content: bytes) -> None:
        self.seen = Seen(len(content), f"{hash(content):x}")
        self._content = memoryview(content)

    @property
    def size(self) -> int:
        """The object's length in bytes."""
        return len(self._content)

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` from `offset` on; returns how many bytes."""
        if offset < 0:
            raise ValueError("an offset is not negative")
        view = memoryview(buffer).cast("B")
        found = self._content[offset : offset + len(view)]
        view[: len(found)] = found
        return len(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._content.release()
