"""Work out on which day a thing is due, and why (rules 8 and 19).

Pure: facts and the schedule in, days and reasons out.

Rules kept here:
  * a period for keeping never ends early, a promise to destroy never ends late;
  * of several classes the longest wins, and a class whose clock has not started keeps;
  * every day given can be traced to the rule, the event, its day and the period added to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.calendar import Period, Unit, age_on, birthday, gone_by, keep_until
from consent_service.domain.purposes import Purpose
from consent_service.domain.retention_rules import (
    After,
    Birthday,
    DueExpression,
    Earliest,
    FirstKnown,
    Latest,
    LongestOfRules,
    RetentionRule,
    RetentionSchedule,
    TriggerEvent,
)

RECORDING, REVIEW_COPY, PHOTOS_OFFERED = "R01", "R02", "R11"
CHILD_RECORD, PARENT_RECORD, MATERNITY_RECORD = "R03", "R04", "R05"
FEEDBACK, DRAFTS, UPLOADS, NOTICES = "R16", "R28.drafts", "R28.uploads", "R30.notices"
SUBJECT_ACCESS = "R23"
CONSENT_LINKS, PARENT_LINKS = "R29.consent-link", "R29.parent-link"
_OF_THE_FILM_ITSELF = frozenset(
    {RECORDING, REVIEW_COPY, CHILD_RECORD, PARENT_RECORD, MATERNITY_RECORD, "R09", "R10"}
)
"""Rules that follow from what a film is, not from a further purpose that it is kept for."""

NO_SUMMARY_WARNING = Period(42, Unit.DAYS)
"""How long after the end somebody is told of a recording without a summary (R01)."""

SMALLEST_CAP = 20
CAP_SHARE = 0.3


@dataclass(frozen=True)
class Facts:
    """What is known of a thing and its people, as London days.

    `born_on` are the children whose birthdays count; `birth_unknown` tells that one of them has no
    known birth date yet, so that no birthday can be given. `ended_on` decides who was 17 at the
    end. `leap_day_on` is (month, day) of a leap-day birthday in common years.
    """

    events: Mapping[TriggerEvent, date] = field(default_factory=dict)
    born_on: tuple[date, ...] = ()
    birth_unknown: bool = False
    ended_on: date | None = None
    leap_day_on: tuple[int, int] = (3, 1)

    def __post_init__(self) -> None:
        """Keep a copy that nobody can change."""
        object.__setattr__(self, "events", MappingProxyType(dict(self.events)))


@dataclass(frozen=True)
class Term:
    """One part of an answer: this event on this day, plus this period, gives this day.

    `what` is the event's code or `birthday`; `counted_from` and `gives` are None while the event
    has not happened. `period` is written out, such as `30 days` or `25 years`.
    """

    rule: str
    what: str
    counted_from: date | None
    period: str
    gives: date | None


@dataclass(frozen=True)
class Due:
    """What one rule says: first day of destruction, last day of existence, and from what."""

    rule: RetentionRule
    due_on: date | None
    gone_by: date | None
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Keeping:
    """What all rules that apply say together; `by` is the one that keeps longest.

    `due_on` is None while some rule's clock has not started: until then the thing stays.
    """

    by: Due
    all: tuple[Due, ...]

    @property
    def due_on(self) -> date | None:
        """First day on which destruction is allowed."""
        return self.by.due_on

    @property
    def gone_by(self) -> date | None:
        """Last day on which the thing may exist, where that is promised."""
        return self.by.gone_by


@dataclass(frozen=True)
class FilmFacts:
    """What decides the classes of a recording, clip or still.

    `review_film` tells a film of a shared review, `offered` a still that was offered to a parent,
    `children` and `adults` whether such are seen or heard in it, `bump` that only a pregnant
    parent is.
    """

    kind: AssetKind
    record_class: RecordClass
    review_film: bool = False
    offered: bool = False
    children: bool = False
    adults: bool = False
    bump: bool = False


def film_rules(film: FilmFacts) -> tuple[str, ...]:
    """Return the rules that follow from what a film is."""
    if film.record_class is RecordClass.TRANSITORY:
        return (_working_material(film),)
    if film.bump:
        return (MATERNITY_RECORD,)
    found = [CHILD_RECORD] if film.children else []
    if film.adults or not film.children:
        found.append(PARENT_RECORD)
    return tuple(found)


def purpose_rules(purpose: Purpose, kind: AssetKind) -> tuple[str, ...]:
    """Return the further rules by which a permitted purpose keeps this kind of film."""
    if not purpose.keeps(kind):
        return ()
    return tuple(r for r in purpose.retention_rules if r not in _OF_THE_FILM_ITSELF)


def due(schedule: RetentionSchedule, rule_id: str, facts: Facts) -> Due:
    """Return what a rule says of these facts; KeyError when the schedule lacks the rule."""
    rule = schedule.rule(rule_id)
    last = None if rule.gone_by is None else _day(schedule, rule.gone_by, facts)
    return Due(
        rule,
        _day(schedule, rule.due, facts),
        last,
        tuple(_terms(schedule, rule.id, rule.due, facts)),
    )


def longest(dues: Sequence[Due]) -> Keeping:
    """Return which of several rules keeps longest; one that cannot tell yet keeps longer still."""
    if not dues:
        raise ValueError("a thing has at least one retention rule")
    by = max(dues, key=lambda d: (d.due_on is None, d.due_on or date.min, d.rule.id))
    return Keeping(by, tuple(dues))


def cap(standing: int) -> int:
    """Return how many of a class one run may destroy without asking."""
    return max(SMALLEST_CAP, int(standing * CAP_SHARE))


def enough_for(destroy: int) -> int:
    """Return how many of a class must stand for so many to go in one run; 0 for the smallest cap.

    Whoever counts what stands need count no further: the question costs what is due, not all.
    """
    if destroy <= SMALLEST_CAP:
        return 0
    enough = int(destroy / CAP_SHARE)
    while cap(enough) < destroy:
        enough += 1
    return enough


def rule_day(
    schedule: RetentionSchedule, rule_id: str, event: TriggerEvent, today: date
) -> date | None:
    """Return the last day of `event` on which a rule of one period is due today, or before.

    Of a rule with several periods to choose from it is that event's own share, for a caller who
    looks only at what that event decides. None for a rule that needs more, or another event.
    """
    due_after = schedule.rule(rule_id).due
    choices = due_after.of if isinstance(due_after, FirstKnown | Earliest) else (due_after,)
    expression = next((c for c in choices if isinstance(c, After) and c.event is event), None)
    if expression is None:
        return None
    day = today
    while _after(expression, day) > today:
        day = date.fromordinal(day.toordinal() - 1)
    return day


def _working_material(film: FilmFacts) -> str:
    match film.kind:
        case AssetKind.RECORDING:
            return REVIEW_COPY if film.review_film else RECORDING
        case AssetKind.STILL if film.offered:
            return PHOTOS_OFFERED
        case _:
            return REVIEW_COPY


def _day(schedule: RetentionSchedule, expression: DueExpression, facts: Facts) -> date | None:
    """Return the day an expression gives, None while what it counts from has not happened."""
    match expression:
        case After():
            start = facts.events.get(expression.event)
            return None if start is None else _after(expression, start)
        case Birthday():
            return _birthday(expression, facts)
        case Earliest():
            return min(_known(schedule, expression.of, facts), default=None)
        case Latest():
            return max(_known(schedule, expression.of, facts), default=None)
        case FirstKnown():
            return next(iter(_known(schedule, expression.of, facts)), None)
        case _:
            rules = [schedule.rule(r).due for r in expression.rules]
            return max(_known(schedule, rules, facts), default=None)


def _known(
    schedule: RetentionSchedule, parts: Iterable[DueExpression], facts: Facts
) -> Iterator[date]:
    days = (_day(schedule, part, facts) for part in parts)
    return (day for day in days if day is not None)


def _after(expression: After, start: date) -> date:
    count = gone_by if expression.promise else keep_until
    return count(start, expression.plus)


def _birthday(expression: Birthday, facts: Facts) -> date | None:
    if facts.birth_unknown or not facts.born_on:
        return None
    return max(
        birthday(born, _age(expression, born, facts), leap_day_on=facts.leap_day_on)
        for born in facts.born_on
    )


def _age(expression: Birthday, born: date, facts: Facts) -> int:
    """Return which birthday counts; an involvement that is still open decides it at its end."""
    later = expression.age_if_17_at_end
    if later is None or facts.ended_on is None or facts.ended_on < born:
        return expression.age
    return later if _age_at(born, facts) == 17 else expression.age


def _age_at(born: date, facts: Facts) -> int:
    ended = facts.ended_on or born
    age = age_on(born, ended)
    # In common years the policy may put a leap-day birthday before 1 March.
    if birthday(born, age + 1, leap_day_on=facts.leap_day_on) <= ended:
        return age + 1
    return age


def _terms(
    schedule: RetentionSchedule, rule: str, expression: DueExpression, facts: Facts
) -> Iterator[Term]:
    match expression:
        case After():
            start = facts.events.get(expression.event)
            gives = None if start is None else _after(expression, start)
            yield Term(rule, expression.event.value, start, str(expression.plus), gives)
        case Birthday():
            yield _birthday_term(rule, expression, facts)
        case LongestOfRules():
            for other in expression.rules:
                yield from _terms(schedule, other, schedule.rule(other).due, facts)
        case _:
            for part in expression.of:
                yield from _terms(schedule, rule, part, facts)


def _birthday_term(rule: str, expression: Birthday, facts: Facts) -> Term:
    gives = _birthday(expression, facts)
    if gives is None:
        return Term(rule, "birthday", None, f"{expression.age} years", None)
    youngest = max(facts.born_on)
    years = _age(expression, youngest, facts)
    return Term(rule, "birthday", youngest, f"{years} years", gives)
