"""Reading the story of each (person, purpose): what was answered, and what ended it since.

Rules kept here: a child's story also holds the noes of its other open involvements, and only
those; an act recorded late or from paper counts only once a second person has checked it (rule 9).

Every use of film asks here: all stories that are asked for at once take three queries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import BindParameter, bindparam, null, select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import (
    ConsentAct,
    ConsentActCheck,
    ConsentDecision,
    ConsentEnding,
)
from consent_service.db.models.people import Involvement
from consent_service.db.queries.columns import Columns, rows_of
from consent_service.db.queries.people import Belonging, belonging
from consent_service.domain.calendar import Period, Unit, gone_by
from consent_service.domain.consent import Answer, Asked, Decision, Ending, Story
from consent_service.domain.forms import Layer
from consent_service.domain.purposes import split_use

CARE_AFTER_END = Period(2, Unit.MONTHS)
"""`care` holds until the involvement's end and two months (the form's own promise)."""

Pair = tuple[str, str]

_INVOLVEMENT = Involvement.__table__
_ACT, _CHECK, _DECISION, _ENDING = (
    model.__table__ for model in (ConsentAct, ConsentActCheck, ConsentDecision, ConsentEnding)
)
_PERSONS: BindParameter[Any] = bindparam("persons", expanding=True)

_ENDED_ON = select(_INVOLVEMENT.c.id, _INVOLVEMENT.c.ended_on).where(
    _INVOLVEMENT.c.id.in_(bindparam("involvements", expanding=True))
)

_SAID = (
    _DECISION.c.id,
    _DECISION.c.act_id,
    _DECISION.c.involvement_id,
    _DECISION.c.person_id,
    _DECISION.c.decided_by,
    _DECISION.c.purpose,
    _DECISION.c.answer,
    _DECISION.c.position,
    _DECISION.c.layer,
    _DECISION.c.event_at,
    _DECISION.c.recorded_at,
    _DECISION.c.named,
    _DECISION.c.valid_until,
    _DECISION.c.may_overrule,
    _ACT.c.form_id,
    _ACT.c.form_version,
    _ACT.c.recorded_late,
)
_WITH_ACT = _DECISION.join(_ACT, _ACT.c.id == _DECISION.c.act_id)
_DECISIONS = (
    select(*_SAID, _CHECK.c.checked_at)
    .select_from(_WITH_ACT.outerjoin(_CHECK, _CHECK.c.act_id == _ACT.c.id))
    .where(
        _DECISION.c.person_id.in_(_PERSONS),
        _DECISION.c.purpose.in_(bindparam("bases", expanding=True)),
    )
)
_DECISIONS_OF_ACT = (
    select(*_SAID, null())
    .select_from(_WITH_ACT)
    .where(_DECISION.c.act_id == bindparam("act"), _DECISION.c.purpose.is_not(None))
)
_ENDINGS = select(
    _ENDING.c.id,
    _ENDING.c.kind,
    _ENDING.c.involvement_id,
    _ENDING.c.person_id,
    _ENDING.c.purpose,
    _ENDING.c.event_at,
    _ENDING.c.recorded_at,
    _ENDING.c.by_person_id,
    _ENDING.c.ref,
    _ENDING.c.may_overrule,
).where(_ENDING.c.person_id.in_(_PERSONS))


@dataclass(frozen=True)
class Question:
    """Whose state, in which involvement, for which purposes; `on` decides who is a child."""

    involvement: str
    persons: tuple[str, ...]
    purposes: tuple[str, ...]
    on: date


def stories(session: Session, question: Question) -> dict[Pair, Story]:
    """Return the story of every (person, purpose) asked about."""
    return stories_of(session, [question])[question.involvement]


def stories_of(session: Session, questions: Sequence[Question]) -> dict[str, dict[Pair, Story]]:
    """Return the stories of many involvements, by involvement, in the same few queries.

    All questions are about the same day and the same purposes.
    """
    if not questions:
        return {}
    persons = sorted({person for question in questions for person in question.persons})
    bases = sorted({split_use(purpose)[0] for purpose in questions[0].purposes})
    involvements = [question.involvement for question in questions]
    belongs = belonging(session, persons, questions[0].on)
    told = _Told(
        belongs,
        _ended_on(session, involvements, belongs.ended_on),
        _decisions(session, persons, bases),
        _endings(session, persons, bases),
    )
    return {
        question.involvement: {
            (person, purpose): _story(told, question.involvement, person, purpose)
            for person in question.persons
            for purpose in question.purposes
        }
        for question in questions
    }


def decisions_of_act(session: Session, act: str) -> list[Decision]:
    """Return everything that an act said about some purpose, checked or not."""
    return [_decision(row) for row in rows_of(session, _DECISIONS_OF_ACT, act=act)]


@dataclass(frozen=True)
class _Told:
    """What was read for many stories at once."""

    belonging: Belonging
    ended_on: Mapping[str, date | None]
    decisions: Mapping[Pair, list[Decision]]
    endings: Mapping[Pair, list[Ending]]


def _story(told: _Told, involvement: str, person: str, purpose: str) -> Story:
    base, _ = split_use(purpose)
    child = person in told.belonging.children
    scope = {involvement, *(told.belonging.open_ones_of(person) if child else ())}
    mine = told.decisions.get((person, base), [])
    ended = told.ended_on.get(involvement)
    return Story(
        person,
        purpose,
        involvement,
        child,
        tuple(_limited(d, ended) for d in mine if d.involvement in scope),
        tuple(
            e
            for e in told.endings.get((person, base), [])
            if e.involvement in scope and e.purpose in (purpose, base)
        ),
        tuple(
            Asked(person, purpose, d.event_at, d.recorded_at)
            for d in mine
            if d.involvement == involvement
        ),
    )


def _ended_on(
    session: Session, involvements: Sequence[str], known: Mapping[str, date | None]
) -> Mapping[str, date | None]:
    """Return when these involvements ended: a query only for one that nobody read belongs to."""
    unread = [involvement for involvement in involvements if involvement not in known]
    if not unread:
        return known
    rows = rows_of(session, _ENDED_ON, involvements=unread)
    return {**known, **{row.id: row.ended_on for row in rows}}


def _decisions(
    session: Session, persons: Sequence[str], bases: Sequence[str]
) -> dict[Pair, list[Decision]]:
    found: dict[Pair, list[Decision]] = {}
    for row in rows_of(session, _DECISIONS, persons=persons, bases=bases):
        late, checked_at = row[-2:]
        if late and checked_at is None and row.answer is Answer.YES:
            continue
        decision = _decision(row)
        found.setdefault((decision.person, decision.purpose), []).append(decision)
    return found


def _decision(row: Columns) -> Decision:
    """Return a decision; a late yes counts as recorded when it was checked."""
    *said, form, version, late, checked_at = row
    key, act, involvement, person, by, purpose, answer, position, layer, *more = said
    event_at, recorded_at, named, valid_until, may_overrule = more
    counted = late and checked_at is not None and answer is Answer.YES
    return Decision(
        id=key,
        act=act,
        involvement=involvement,
        person=person,
        decided_by=by,
        purpose=purpose,
        answer=answer,
        position=position,
        core=layer == Layer.NEEDED.value,
        event_at=event_at,
        recorded_at=checked_at if counted else recorded_at,
        named=tuple(named),
        valid_until=valid_until,
        may_overrule=may_overrule,
        form=form,
        form_version=version,
    )


def _limited(decision: Decision, ended_on: date | None) -> Decision:
    """Return the decision with the end that the involvement's end gives to `care` (layer C)."""
    if not decision.core or ended_on is None:
        return decision
    last = gone_by(ended_on, CARE_AFTER_END)
    until = last if decision.valid_until is None else min(last, decision.valid_until)
    return replace(decision, valid_until=until)


def _endings(
    session: Session, persons: Sequence[str], bases: Iterable[str]
) -> dict[Pair, list[Ending]]:
    wanted = frozenset(bases)
    found: dict[Pair, list[Ending]] = {}
    for row in rows_of(session, _ENDINGS, persons=persons):
        ending = Ending(*row)
        base, _ = split_use(ending.purpose)
        if base in wanted:
            found.setdefault((ending.person, base), []).append(ending)
    return found
