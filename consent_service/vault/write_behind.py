"""Write behind: fill one buffer while a second thread writes the one before.

Rules kept here:
  * the sink gets the buffers whole and in order, from one thread at a time;
  * after a failure nothing more is written, and the failure is raised in the caller, as it was
    raised by the sink;
  * less than one buffer starts no thread, nor does a sink that has its own or only puts bytes
    aside; a thread that nobody needs any more ends.
"""

from queue import SimpleQueue
from threading import Thread
from typing import Protocol
from weakref import finalize

_BUFFERS = 3
"""One being filled, one being written, one waiting: a fourth gains nothing."""


class Sink(Protocol):
    """Where bytes go; called from one thread at a time, but not always from the same.

    It must not keep `buffer` after it returns: the memory is used again. A sink that only puts the
    bytes aside, or sends them in threads of its own, says `waits = False` and is called where it
    is filled: to hand a buffer to another thread takes longer than such a write.
    """

    def write(self, buffer: memoryview, /) -> int | None:
        """Take the bytes; return how many were taken, or None for all of them."""
        ...


_Filled = tuple[memoryview, int]
"""A buffer and how many of its first bytes are to be written."""


class _Abandoned(Exception):
    """Stands where a failure would stand, so that nothing more is written."""


def _write_all(sink: Sink, view: memoryview) -> None:
    while view:
        taken = sink.write(view)
        if taken is None:
            return
        if taken <= 0:
            raise OSError("the sink takes no more bytes")
        view = view[taken:]


def _write_from_queue(
    sink: Sink,
    full: "SimpleQueue[_Filled | None]",
    free: "SimpleQueue[memoryview]",
    failures: list[BaseException],
) -> None:
    """Write until None comes. After a failure keep returning buffers, so that nobody waits."""
    while (filled := full.get()) is not None:
        buffer, used = filled
        if not failures:
            try:
                _write_all(sink, buffer[:used])
            except BaseException as failure:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(failure)
        free.put(buffer)


class WriteBehind:
    """Writes buffers to a sink, in order, in a second thread that starts with the second buffer."""

    def __init__(self, sink: Sink, buffer_bytes: int) -> None:
        self._sink = sink
        self._waits = getattr(sink, "waits", True)
        self._buffer_bytes = buffer_bytes
        self._allocated = 0
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[_Filled | None] = SimpleQueue()
        self._failures: list[BaseException] = []
        self._thread: Thread | None = None
        self._buffer = self._next_buffer()
        self._used = 0

    def room(self) -> memoryview:
        """Return the part of the present buffer that is still free."""
        return self._buffer[self._used :]

    def fill(self, count: int) -> None:
        """Count the first `count` bytes of `room` as filled."""
        self._used += count

    def require_room(self, count: int) -> None:
        """Hand the present buffer over when fewer than `count` bytes are free in it."""
        if self._buffer_bytes - self._used < count:
            self._hand_over()

    def finish(self) -> None:
        """Write what is left and wait until the sink has everything."""
        self._raise_failure()
        if self._thread is None:
            _write_all(self._sink, self._buffer[: self._used])
            return
        self._full.put((self._buffer, self._used))
        self._join()
        self._raise_failure()

    def abandon(self) -> None:
        """Write nothing more; on return the sink is no longer in use."""
        self._failures.append(_Abandoned())
        self._join()

    def _hand_over(self) -> None:
        self._raise_failure()
        if not self._waits:
            self._write_here()
            return
        if self._thread is None:
            self._start()
        self._full.put((self._buffer, self._used))
        self._buffer = self._next_buffer()
        self._used = 0

    def _write_here(self) -> None:
        try:
            _write_all(self._sink, self._buffer[: self._used])
        except BaseException as failure:
            self._failures.append(failure)
            raise
        self._used = 0

    def _start(self) -> None:
        self._thread = Thread(
            target=_write_from_queue,
            args=(self._sink, self._full, self._free, self._failures),
            name="container-writer",
            daemon=True,
        )
        self._thread.start()
        # The thread holds no reference to this object: one that is dropped ends its thread.
        finalize(self, self._full.put, None)

    def _join(self) -> None:
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _next_buffer(self) -> memoryview:
        if self._allocated < _BUFFERS and self._free.empty():
            self._allocated += 1
            return memoryview(bytearray(self._buffer_bytes))
        return self._free.get()
