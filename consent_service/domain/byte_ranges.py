"""Which bytes of an object a request asks for (RFC 9110, sections 13.1.5 and 14). Pure.

Rules kept here:
  * one range at a time: several, another unit or nonsense count as no range at all, as the RFC lets
    a server do;
  * a range that begins outside the object is refused, never answered with something else;
  * a range meant for another version of the object gets the whole of this one.
"""

import re
from dataclasses import dataclass

from consent_service.errors import RangeInvalid

_ONE_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """Bytes from `start` up to, not including, `end`; `partial` when that was asked for."""

    start: int
    end: int
    partial: bool

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.start

    def content_range(self, size: int) -> str:
        """Return the value of Content-Range for an object of `size` bytes."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def asked_range(header: str | None, if_range: str | None, etag: str, size: int) -> ByteRange:
    """Return what the headers Range and If-Range ask of an object with this quoted ETag and size.

    Raises RangeInvalid (details `size`) for a range that begins at or after the end.
    """
    whole = ByteRange(0, size, partial=False)
    found = _ONE_RANGE.fullmatch(header or "")
    if found is None or (if_range is not None and if_range.strip() != etag):
        return whole
    first, last = found.groups()
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), size)
        return _within(size - length, size, size)
    if last and int(last) < int(first):
        return whole
    return _within(int(first), min(int(last) + 1, size) if last else size, size)


def _within(start: int, end: int, size: int) -> ByteRange:
    if start >= size or end <= start:
        raise RangeInvalid("That part does not lie inside the film.", size=size)
    return ByteRange(start, end, partial=True)
