"""Values that requests and answers are made of: strict, bounded, and the same in the document.

Rules kept here:
  * a field that we do not know is refused, and nothing is guessed: a number is no date, `"1"` no
    number;
  * days lie in 1900 to 2199 and instants carry a zone, so that no sum with them overflows;
  * text holds no NUL, which PostgreSQL refuses.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from consent_service.errors import InvalidInput

T = TypeVar("T")

_DAYS = r"(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31"
_LEAP = r"((19|20|21)(0[48]|[2468][048]|[13579][26])|2000)-02-29"
_DAY = rf"(19|20|21)[0-9]{{2}}-({_DAYS})|{_LEAP}"
DAY_PATTERN = rf"^({_DAY})$"
INSTANT_PATTERN = (
    rf"^({_DAY})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
ID_PATTERN = r"^[0-9a-f]{32}$"
NO_NUL = r"^[^\u0000]*$"
SAYS_SOMETHING = r"^[^\u0000]*[^\u0000\s][^\u0000]*$"


def _day(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(DAY_PATTERN, value):
        raise ValueError("Enter a day as YYYY-MM-DD, in the years 1900 to 2199.")
    return value


def _instant(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(INSTANT_PATTERN, value):
        raise ValueError("Enter an instant with its zone, such as 2026-11-02T09:30:00Z.")
    return value


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("Enter an instant with its zone, such as 2026-11-02T09:30:00Z.")
    return value.astimezone(UTC)


Id = Annotated[str, StringConstraints(pattern=ID_PATTERN), Field(description="Opaque identifier.")]
Day = Annotated[
    date,
    Field(strict=False),
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": DAY_PATTERN}, "validation"),
]
Instant = Annotated[
    datetime,
    Field(strict=False),
    AfterValidator(_utc),
    BeforeValidator(_instant),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN}, "validation"
    ),
]
Line = Annotated[str, StringConstraints(pattern=SAYS_SOMETHING, min_length=1, max_length=200)]
"""One line of text that says something."""
Words = Annotated[str, StringConstraints(pattern=SAYS_SOMETHING, min_length=1, max_length=4000)]
"""Free text that says something."""
Maybe = Annotated[str, StringConstraints(pattern=NO_NUL, max_length=4000)]
CODE_PATTERN = r"^[A-Za-z][A-Za-z0-9._-]{0,39}$"
Code = Annotated[str, StringConstraints(pattern=CODE_PATTERN)]
PURPOSE_PATTERN = r"^[a-z][a-z0-9-]{0,39}(:[a-z0-9][a-z0-9-]{0,62})?$"
PURPOSE_MARK = "x-purpose"
"""Where a schema has it, the document names the purposes that policy knows."""
PurposeCode = Annotated[
    str,
    StringConstraints(pattern=PURPOSE_PATTERN),
    Field(
        description="A purpose, with its named use after a colon where it has one.",
        json_schema_extra={PURPOSE_MARK: "named"},
    ),
]
StatedPurpose = Annotated[
    str,
    StringConstraints(pattern=PURPOSE_PATTERN),
    Field(
        description="A purpose that can be stated, with the use that it must name, if any.",
        json_schema_extra={PURPOSE_MARK: "stated"},
    ),
]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$")]
Whole = BeforeValidator(_whole)
"""In a body: 3.0 is the whole number 3, as JSON Schema has it."""
Version = Annotated[int, Field(ge=1, le=9999), Whole]
Milliseconds = Annotated[int, Field(ge=0, le=86_400_000), Whole]
PageSize = Annotated[int, Field(ge=1, le=200)]


class Request(BaseModel):
    """What a client sends: strict, closed, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Reply(BaseModel):
    """What we answer, read from a use case's view by its attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class PageQuery(Request):
    """Which part of a list: `cursor` is the `next` of the page before."""

    cursor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,400}$")] | None = None
    limit: PageSize = 50


class Page(Reply, Generic[T]):
    """One page of a list; `next` is null on the last one."""

    items: list[T]
    next: str | None = None


class Made(Reply):
    """The identifier of what was written down."""

    id: Id


class Problem(BaseModel):
    """A refusal (RFC 9457). `code` is stable; further members are ids and codes."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    faults: dict[str, str] | None = Field(None, description="What is wrong, field by field.")


_OTHERWISE = "This is not in the form that is expected here."
_WHOLE = "Enter a whole number."
_SENTENCES: Mapping[str, str] = {
    "missing": "Fill this in.",
    "extra_forbidden": "There is no such field.",
    "json_invalid": "This is not JSON.",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "string_type": "Enter text.",
    "bool_type": "Enter true or false.",
    "bool_parsing": "Enter true or false.",
    "string_too_short": "Enter {min_length} character(s) or more.",
    "string_too_long": "Enter {max_length} characters or fewer.",
    "too_short": "Enter {min_length} or more.",
    "too_long": "Enter {max_length} or fewer.",
    "greater_than_equal": "Enter {ge} or more.",
    "less_than_equal": "Enter {le} or less.",
    "greater_than": "Enter more than {gt}.",
    "less_than": "Enter less than {lt}.",
    "enum": "Enter one of: {expected}.",
    "literal_error": "Enter one of: {expected}.",
    "list_type": "Enter a list.",
    "tuple_type": "Enter a list.",
    "set_type": "Enter a list.",
    "frozen_set_type": "Enter a list.",
    "dict_type": "Enter an object.",
    "model_type": "Enter an object.",
    "model_attributes_type": "Enter an object.",
}
"""What is said of each kind of fault; in braces stands what the shape asks for, never a value."""
_OURS = "value_error"


def invalid(fault: ValidationError) -> InvalidInput:
    """Return the refusal that names every wrong field; never the values."""
    faults: dict[str, str] = {}
    for error in fault.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in error["loc"]) or "body"
        faults[name[:120]] = _sentence(error)
    return InvalidInput("Some details need to be put right.", faults)


def _sentence(error: ErrorDetails) -> str:
    if error["type"] == _OURS:
        ours = error["msg"].removeprefix("Value error, ")
        return ours if ours.endswith(".") else f"{ours}."
    return _SENTENCES.get(error["type"], _OTHERWISE).format(**error.get("ctx", {}))


def parsed(model: type[T], raw: bytes) -> T:
    """Return the JSON in `raw` as `model`; raises InvalidInput with every fault."""
    try:
        return model.model_validate_json(raw)  # type: ignore[attr-defined, no-any-return]
    except ValidationError as fault:
        raise invalid(fault) from None


def parsed_strings(model: type[T], values: Mapping[str, Any]) -> T:
    """Return query values as `model`; raises InvalidInput with every fault."""
    try:
        return model.model_validate_strings(values)  # type: ignore[attr-defined, no-any-return]
    except ValidationError as fault:
        raise invalid(fault) from None
