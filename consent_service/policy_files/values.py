"""The small values that policy files are made of: days, periods, switches, due expressions.

Each parser takes text as `yaml_lines` gives it and raises ValueError with a sentence of the form
`what is wrong, expected what`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, StringConstraints

from consent_service.domain.calendar import Period, Unit
from consent_service.domain.forms import ValidFor, ValidFrom
from consent_service.domain.retention_rules import (
    After,
    Birthday,
    DueExpression,
    Earliest,
    FirstKnown,
    Latest,
    LongestOfRules,
    TriggerEvent,
)

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
PERIOD = re.compile(r"(\d{1,4}) (day|month|year)s?")
WHOLE_NUMBER = re.compile(r"\d{1,6}")
AS_NAMED = "as named"
AS_DUE = "as due"
COUNTED_FROM = {
    "decision": ValidFrom.DECISION,
    "involvement end": ValidFrom.INVOLVEMENT_END,
}


def parse_day(value: object) -> date:
    """Return the day of `2026-09-01`."""
    if isinstance(value, str) and DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value} is no day of the calendar, expected a real day") from None
    raise ValueError(f"`{value}` is not a day, expected year-month-day such as 2026-09-01")


def parse_period(value: object) -> Period:
    """Return the period of `30 days`, `1 month` or `8 years`."""
    match = PERIOD.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"`{value}` is not a period, expected such as 30 days, 2 months, 8 years")
    return Period(int(match[1]), Unit(f"{match[2]}s"))


def parse_count(value: object) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, str) and WHOLE_NUMBER.fullmatch(value):
        return int(value)
    raise ValueError(f"`{value}` is not a whole number, expected one such as 7")


def parse_switch(value: object) -> bool:
    """Return a truth value; only `true` and `false` are taken, since `no` is also a country."""
    if value in ("true", "false"):
        return value == "true"
    raise ValueError(f"`{value}` is neither true nor false, expected one of them")


def parse_valid_for(value: object) -> ValidFor:
    """Return the validity of `decision + 3 years`, `involvement end + 2 months` or `as named`."""
    if value == AS_NAMED:
        return ValidFor(ValidFrom.NAMED)
    start, plus, period = str(value).partition(" + ")
    if not plus or start not in COUNTED_FROM:
        raise ValueError(
            f"`{value}` is not a validity, expected `decision + 3 years`, "
            f"`involvement end + 2 months` or `{AS_NAMED}`"
        )
    return ValidFor(COUNTED_FROM[start], parse_period(period))


def parse_due(value: object) -> DueExpression:
    """Return a due expression; see `policies/retention/england.yaml` for how it is written."""
    if not isinstance(value, Mapping):
        raise ValueError(f"`{value}` is not a due date, expected a mapping such as event and plus")
    for key, parse in _DUE_FORMS.items():
        if key in value:
            return parse(value)
    expected = ", ".join(_DUE_FORMS)
    raise ValueError(f"the due date has none of its keys, expected one of {expected}")


def parse_gone_by(value: object) -> DueExpression | str | None:
    """Return None, `as due` itself, or a due expression."""
    if value is None:
        return None
    return AS_DUE if value == AS_DUE else parse_due(value)


def _after(value: Mapping[str, Any]) -> After:
    _only(value, {"event", "plus", "promise"})
    return After(
        event=_event(value["event"]),
        plus=parse_period(value.get("plus")),
        promise=parse_switch(value.get("promise", "false")),
    )


def _birthday(value: Mapping[str, Any]) -> Birthday:
    _only(value, {"birthday", "birthday_if_17_at_end"})
    other = value.get("birthday_if_17_at_end")
    return Birthday(parse_count(value["birthday"]), None if other is None else parse_count(other))


def _rules(value: Mapping[str, Any]) -> LongestOfRules:
    _only(value, {"longest_of_rules"})
    rules = value["longest_of_rules"]
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise ValueError("longest_of_rules is not a list, expected rule ids such as [R03, R04]")
    return LongestOfRules(tuple(rules))


def _several(kind: type[Earliest | Latest | FirstKnown], key: str) -> Callable[..., DueExpression]:
    def parse(value: Mapping[str, Any]) -> DueExpression:
        _only(value, {key})
        parts = value[key]
        if not isinstance(parts, list) or len(parts) < 2:
            raise ValueError(f"{key} has fewer than two parts, expected a list of due dates")
        return kind(tuple(parse_due(part) for part in parts))

    return parse


def _event(name: object) -> TriggerEvent:
    try:
        return TriggerEvent(str(name))
    except ValueError:
        expected = ", ".join(TriggerEvent)
        raise ValueError(f"`{name}` is not an event, expected one of {expected}") from None


def _only(value: Mapping[str, Any], allowed: set[str]) -> None:
    unknown = sorted(set(value) - allowed)
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is not a key here, expected only {', '.join(sorted(allowed))}"
        )


_DUE_FORMS: Mapping[str, Callable[[Mapping[str, Any]], DueExpression]] = {
    "event": _after,
    "birthday": _birthday,
    "longest_of_rules": _rules,
    "earliest": _several(Earliest, "earliest"),
    "latest": _several(Latest, "latest"),
    "first_known": _several(FirstKnown, "first_known"),
}

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")]
Day = Annotated[date, BeforeValidator(parse_day)]
Count = Annotated[int, BeforeValidator(parse_count)]
Switch = Annotated[bool, BeforeValidator(parse_switch)]
Validity = Annotated[InstanceOf[ValidFor], BeforeValidator(parse_valid_for)]
Due = Annotated[Any, BeforeValidator(parse_due)]
GoneBy = Annotated[Any, BeforeValidator(parse_gone_by)]
