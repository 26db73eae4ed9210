"""Moments within a film: milliseconds for programs, `1:05.2` for people."""

import re

_WRITTEN = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,3}):)?(\d{1,5})(?:[.,](\d{1,3}))?")


def moment(ms: int | None) -> str:
    """Return a moment as minutes and seconds, `1:05`, with tenths only where there are any."""
    if ms is None:
        return ""
    tenths = round(ms / 100)
    minutes, rest = divmod(tenths, 600)
    seconds, tenth = divmod(rest, 10)
    return f"{minutes}:{seconds:02d}" + (f".{tenth}" if tenth else "")


def read_moment(text: str) -> int | None:
    """Return milliseconds of `65`, `1:05`, `1:05.5` or `0:01:05`; None when it is no such thing."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups()
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole * 1000 + int((fraction or "0").ljust(3, "0"))


def long_length(ms: int | None) -> str:
    """Return a length in words: `2 minutes 5 seconds`."""
    if ms is None:
        return ""
    minutes, seconds = divmod(round(ms / 1000), 60)
    parts = [
        f"{count} {unit}{'' if count == 1 else 's'}"
        for count, unit in ((minutes, "minute"), (seconds, "second"))
        if count
    ]
    return " ".join(parts) or "less than a second"


def long_size(size: int | None) -> str:
    """Return a size in bytes as people say it: `12 MB`."""
    if size is None:
        return ""
    amount = float(size)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
