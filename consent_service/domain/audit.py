"""What goes into the audit log: one event, its exact bytes and its sentence.

Pure. Rules kept here:
  * an event holds ids, codes, digests, dates, numbers and yes or no: never a name, never free
    text, so that an erasure has nothing to erase in the log;
  * its body is canonical JSON (RFC 8785): the same event has the same bytes everywhere;
  * every kind can be said in one sentence, and a body read back gives an equal event.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from consent_service.domain.audit_kinds import EventKind
from consent_service.domain.audit_sentences import SENTENCES
from consent_service.errors import IntegrityFault

__all__ = ["SENTENCES", "Actor", "ActorKind", "AuditEvent", "Detail", "EventKind"]

BODY_VERSION = 1

Detail = str | int | bool | list[str]

_CODE = re.compile(r"[A-Za-z0-9_.:/+-]{1,120}")
_DETAIL_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONE_WORD = re.compile(r"[A-Z][a-z]+(-[A-Z][a-z]+)*")
_LONG_NUMBER = re.compile(r"\+?[0-9]{9,13}")
_LARGEST_EXACT = 2**53 - 1

# Every act pays for this, and rfc8785 takes four times as long. For what an event may hold (codes
# in ASCII, exact whole numbers, yes or no, lists of codes) the two give the same bytes; a test
# holds them to it.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_FIELD = re.compile(r"\{([a-z_]+)\}")


class ActorKind(StrEnum):
    """Who acted: staff, a parent, a program's token, a job, or the service itself."""

    USER = "user"
    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - the kind of an actor
    JOB = "job"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it; `id` is an opaque id, or the code of a job or part of the service."""

    kind: ActorKind
    id: str

    def __post_init__(self) -> None:
        """Refuse an actor that is no code."""
        object.__setattr__(self, "kind", ActorKind(self.kind))
        _require_code("actor", self.id)

    def __str__(self) -> str:
        """Return `kind:id`, the form in which the log is searched."""
        return f"{self.kind.value}:{self.id}"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that happened.

    `subject` is the id or code of the main thing, `involvement` the family's episode if there is
    one. Raises ValueError for anything that could be a name or free text, and when the sentence
    of this kind needs a subject and there is none.
    """

    kind: EventKind
    actor: Actor
    subject: str | None = None
    involvement: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every value; keep a copy of the details that nobody can change."""
        object.__setattr__(self, "kind", EventKind(self.kind))
        for name in ("subject", "involvement"):
            if (value := getattr(self, name)) is not None:
                _require_code(name, value)
        if self.subject is None and "subject" in required_fields(self.kind):
            raise ValueError(f"an event {self.kind.value} needs a subject")
        frozen = {name: _checked(name, value) for name, value in self.details.items()}
        object.__setattr__(self, "details", MappingProxyType(frozen))


def body(event: AuditEvent, entry_id: str, at: datetime) -> bytes:
    """Return the canonical JSON bytes (RFC 8785) that the log keeps and hashes."""
    _require_code("id", entry_id)
    return _CANONICAL.encode(
        {
            "actor": {"id": event.actor.id, "kind": event.actor.kind.value},
            "at": instant_text(at),
            "details": dict(event.details),
            "id": entry_id,
            "involvement": event.involvement,
            "kind": event.kind.value,
            "subject": event.subject,
            "v": BODY_VERSION,
        }
    ).encode()


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it stands in the log."""

    event: AuditEvent
    entry_id: str
    at: datetime


def parse_body(raw: bytes) -> RecordedEvent:
    """Return the event that `raw` holds; raises IntegrityFault when it is no body of ours."""
    try:
        found: dict[str, Any] = json.loads(raw)
        actor = Actor(ActorKind(found["actor"]["kind"]), found["actor"]["id"])
        event = AuditEvent(
            EventKind(found["kind"]),
            actor,
            found["subject"],
            found["involvement"],
            found["details"],
        )
        recorded = RecordedEvent(event, found["id"], datetime.fromisoformat(found["at"]))
        intact = body(event, recorded.entry_id, recorded.at) == raw
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise IntegrityFault("an audit entry is not in the form of this log") from fault
    if not intact:
        raise IntegrityFault("an audit entry is not in canonical form")
    return recorded


def instant_text(at: datetime) -> str:
    """Return `at` as 27 characters of UTC with microseconds: order of text is order of time."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def sentence(event: AuditEvent, name_of: Callable[[str], str] = str) -> str:
    """Return the event in one sentence.

    `name_of` turns an id into what the reader may see; names are looked up when the log is read
    and are never in it.
    """
    values = {name: _said(value, name_of) for name, value in event.details.items()}
    values["actor"] = _actor_said(event.actor, name_of)
    for name in ("subject", "involvement"):
        if (value := getattr(event, name)) is not None:
            values[name] = name_of(value)
    said = _OPTIONAL.sub(lambda part: _filled(part.group(1), values), SENTENCES[event.kind])
    said = _FIELD.sub(lambda name: values[name.group(1)], said)
    return said[0].upper() + said[1:].rstrip(",") + "."


def required_fields(kind: EventKind) -> frozenset[str]:
    """Return the fields that the kind's sentence cannot do without."""
    return frozenset(_FIELD.findall(_OPTIONAL.sub("", SENTENCES[kind])))


def optional_fields(kind: EventKind) -> frozenset[str]:
    """Return the fields that the kind's sentence mentions when they are there."""
    parts = _OPTIONAL.findall(SENTENCES[kind])
    return frozenset(name for part in parts for name in _FIELD.findall(part))


def _filled(part: str, values: Mapping[str, str]) -> str:
    """Return an optional part with its values, or nothing when one is missing."""
    if any(name not in values for name in _FIELD.findall(part)):
        return ""
    return _FIELD.sub(lambda name: values[name.group(1)], part)


def _actor_said(actor: Actor, name_of: Callable[[str], str]) -> str:
    if actor.kind is ActorKind.SYSTEM:
        return "the service"
    return f"{actor.kind.value} {name_of(actor.id)}"


def _said(value: Detail, name_of: Callable[[str], str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return name_of(value)
    return ", ".join(name_of(item) for item in value) or "none"


def _checked(name: str, value: object) -> Detail:
    """Return the detail, lists copied; raises ValueError for what must not stand in the log."""
    if not _DETAIL_NAME.fullmatch(name):
        raise ValueError("the name of an audit detail is a lower-case word")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST_EXACT:
            raise ValueError(f"audit detail {name} is too large a number for canonical JSON")
        return value
    if isinstance(value, str):
        return _require_code(name, value)
    if isinstance(value, list | tuple):
        return [_require_code(name, item) for item in value]
    raise ValueError(f"audit detail {name} must be an id, a code, a date, a number or yes or no")


def _require_code(name: str, value: object) -> str:
    """Return an id, code, digest or date as plain text; refuse what could be personal.

    The value itself is not in the error: it may be the very name that must not be written down.
    """
    text = str(value) if isinstance(value, str) else ""
    if not _CODE.fullmatch(text):
        raise ValueError(f"audit {name} must be an id or a code, not free text")
    if _LONE_WORD.fullmatch(text) or _LONG_NUMBER.fullmatch(text.replace("-", "")):
        raise ValueError(f"audit {name} looks like a person's name, NHS number or telephone number")
    return text
