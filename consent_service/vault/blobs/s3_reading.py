"""Reading an object of a bucket by ranges, bound to the entity that was opened."""

from typing import TYPE_CHECKING, Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bytes

from consent_service.errors import Unavailable
from consent_service.vault.blobs import Seen, absent, replaced
from consent_service.vault.blobs.s3_bucket import NOT_THERE, Absent, Taken, store_faults

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

_FIRST_BYTES = 4096


class S3Source:
    """Reads one object by ranges, bound to the entity that it or an earlier opening found."""

    stride = 1024 * 1024

    def __init__(self, store: Bytes, name: str, seen: Seen | None = None) -> None:
        self._store, self._name = store, name
        self._first = b""
        if seen is None:
            try:
                with store_faults(f"opening object {name}"):
                    seen, self._first = _first_of(store, name)
            except Absent as fault:
                raise absent(name) from fault
        self.seen = seen
        self._open = True

    @property
    def size(self) -> int:
        """The object's length in bytes."""
        return self.seen.size

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` from `offset` on; returns how many bytes. Raises Gone; see the module."""
        if offset < 0 or not self._open:
            raise ValueError("an offset is not negative, and a closed object is not read")
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self.size - offset))
        if length:
            view[:length] = self._range(offset, offset + length)
        return length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._open = False

    def _range(self, start: int, end: int) -> memoryview:
        if end <= len(self._first):
            return memoryview(self._first)[start:end]
        wanted: GetOptions = {"range": (start, end), "if_match": self.seen.mark}
        try:
            with store_faults(f"reading object {self._name}"):
                content = memoryview(obstore.get(self._store, self._name, options=wanted).bytes())
        except (Absent, Taken) as fault:
            raise replaced(self._name) from fault
        if len(content) != end - start:
            raise Unavailable(f"The store gave back a part of object {self._name} only. Try again.")
        return content


def _first_of(store: Bytes, name: str) -> tuple[Seen, bytes]:
    """Return what is known of an object and its first bytes, in one question where it has any."""
    try:
        found = obstore.get(store, name, options={"range": (0, _FIRST_BYTES)})
        return _seen(found.meta), bytes(found.bytes())
    except NOT_THERE:
        raise
    except BaseError:
        # An empty object has no range to give.
        return _seen(obstore.head(store, name)), b""


def _seen(meta: "ObjectMeta") -> Seen:
    return Seen(meta["size"], meta["e_tag"] or "")
