"""Records of what is held about a person: plain JSON values by name, nothing where nothing is."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

Record = Mapping[str, Any]

SOMEBODY_ELSE = "another person"
THEMSELVES = "the person themselves"
NOTHING: tuple[Any, ...] = (None, "", [], (), {})


def record(**values: Any) -> Record:
    """Return plain JSON values; what is not there is left away."""
    return {name: _plain(value) for name, value in values.items() if value not in NOTHING}


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def by(who: str | None, person: str) -> str | None:
    """Return who it was, as this person may know it."""
    if who is None:
        return None
    return THEMSELVES if who == person else SOMEBODY_ELSE
