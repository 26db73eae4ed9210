"""Which bytes of an object a request asks for (RFC 9110, sections 13.1.5 and 14). Pure.

Rules kept here:
  * one range at a time: several, or another unit, count as no range at all, as the RFC lets a
    server do;
  * a range that begins outside the object, or is none, is refused and never answered with something
    else;
  * a range meant for another version of the object gets the whole of this one.
"""

import re
from dataclasses import dataclass

from consent_service.errors import RangeInvalid

_UNIT = "bytes="
_ONE_RANGE = re.compile(r"[ \t]*(\d{0,18})-(\d{0,18})")


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

    Raises RangeInvalid (details `size`) for a range that begins at or after the end, or is none.
    """
    asked = (header or "").strip()
    several = "," in asked
    if not asked.lower().startswith(_UNIT) or several or if_range not in (None, etag):
        return ByteRange(0, size, partial=False)
    found = _ONE_RANGE.fullmatch(asked, len(_UNIT))
    first, last = found.groups() if found else ("", "")
    if first:
        return _within(int(first), min(int(last) + 1, size) if last else size, size)
    if last:
        return _within(max(0, size - int(last)), size, size)
    raise _outside(size)


def _within(start: int, end: int, size: int) -> ByteRange:
    if start >= size or end <= start:
        raise _outside(size)
    return ByteRange(start, end, partial=True)


def _outside(size: int) -> RangeInvalid:
    return RangeInvalid("That part does not lie inside the film.", size=size)
