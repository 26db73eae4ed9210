"""A store that fails at the n-th operation, to try a use case at every point where it can break.

`FaultyStore(inner, fail_at=3)` raises at the third operation, before it takes effect; with
`lost_reply=True` the operation takes effect and then raises, as when a connection breaks.
`operations` records what was asked for, so that a test can count how many points there are.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager

from consent_service.errors import Unavailable
from consent_service.vault.blobs import BlobSink, BlobSource, BlobStore, Seen, Unfinished, prove


class FaultyStore:
    """Passes every call to `inner` until the operation that is to fail."""

    def __init__(
        self,
        inner: BlobStore,
        fail_at: int | None = None,
        *,
        fault: Exception | None = None,
        lost_reply: bool = False,
    ) -> None:
        self.inner = inner
        self.fail_at = fail_at
        self.operations: list[str] = []
        self._fault = fault or Unavailable("The store is away (told to by a test).")
        self._lost_reply = lost_reply

    @contextlib.contextmanager
    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> Iterator[BlobSink]:
        """Three kinds of points: beginning, each write, finishing."""
        with self._operation(f"begin {name}"):
            pass
        inner = self.inner.put(name, expected_size=expected_size, replace=replace)
        with contextlib.ExitStack() as finishing, inner as sink:
            yield _FaultySink(self, name, sink)
            finishing.enter_context(self._operation(f"finish {name}"))

    def open(self, name: str, seen: Seen | None = None) -> BlobSource:
        """One point."""
        with self._operation(f"open {name}"):
            return self.inner.open(name, seen)

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """One point."""
        with self._operation(f"read {name}"):
            return self.inner.read_range(name, offset, length)

    def delete(self, name: str) -> bool:
        """One point."""
        with self._operation(f"delete {name}"):
            return self.inner.delete(name)

    def delete_many(self, names: Collection[str]) -> None:
        """A point for each name."""
        for name in names:
            self.delete(name)

    def list(self, prefix: str = "") -> Iterator[str]:
        """One point, at the first name."""
        with self._operation("list"):
            yield from self.inner.list(prefix)

    def list_unfinished(self) -> Iterator[Unfinished]:
        """One point, at the first name."""
        with self._operation("list unfinished"):
            yield from self.inner.list_unfinished()

    def discard_unfinished(self, name: str) -> None:
        """One point."""
        with self._operation(f"discard {name}"):
            self.inner.discard_unfinished(name)

    def check(self) -> None:
        """As many points as the proof has operations."""
        prove(self)

    @contextlib.contextmanager
    def _operation(self, what: str) -> Iterator[None]:
        """Count one operation and fail before or after it when its turn has come."""
        self.operations.append(what)
        fails = len(self.operations) == self.fail_at
        if fails and not self._lost_reply:
            raise self._fault
        yield
        if fails:
            raise self._fault


class _FaultySink:
    """Counts each write."""

    def __init__(self, store: FaultyStore, name: str, sink: BlobSink) -> None:
        self._store = store
        self._name = name
        self._sink = sink

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        """One point."""
        with self._store._operation(f"write {self._name}"):
            return self._sink.write(buffer)


class HappeningStore:
    """A store in which something happens, once, the moment an object of some name is begun."""

    def __init__(self, inner: BlobStore, ending: str, happens: Callable[[], object]) -> None:
        self._inner = inner
        self._ending = ending
        self._happens: Callable[[], object] | None = happens

    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> AbstractContextManager[BlobSink]:
        """Let it happen if this is the name, then write as always."""
        if self._happens is not None and name.endswith(self._ending):
            happens, self._happens = self._happens, None
            happens()
        return self._inner.put(name, expected_size=expected_size, replace=replace)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)
