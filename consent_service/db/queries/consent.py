"""Reading consent: the story of each (person, purpose), and the state that follows.

Rules kept here: a child's story also holds the noes of its other open involvements, and only
those; an act recorded late or from paper counts only once a second person has checked it (rule 9).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import (
    ConsentAct,
    ConsentActCheck,
    ConsentDecision,
    ConsentEnding,
)
from consent_service.db.models.people import Involvement
from consent_service.db.queries.people import children_among, open_involvements_of
from consent_service.db.queries.voided import voided_acts
from consent_service.domain.calendar import Period, Unit, gone_by
from consent_service.domain.consent import (
    Asked,
    Capacity,
    Decision,
    Ending,
    Finding,
    Story,
    says_no,
    state_at,
)
from consent_service.domain.forms import Layer
from consent_service.domain.purposes import split_use, with_use

CARE_AFTER_END = Period(2, Unit.MONTHS)
"""`care` holds until the involvement's end and two months (the form's own promise)."""

Pair = tuple[str, str]

_OF_ACT = (ConsentAct.form_id, ConsentAct.form_version, ConsentAct.recorded_late)
"""What a state needs of an act: its words are long, and every use of film asks."""


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
    persons = {person for question in questions for person in question.persons}
    bases = {split_use(purpose)[0] for purpose in questions[0].purposes}
    children = children_among(session, persons, questions[0].on)
    told = _Told(
        children,
        open_involvements_of(session, children) if children else {},
        _decisions(session, persons, bases),
        _endings(session, persons, bases),
        _ended_on(session, [question.involvement for question in questions]),
    )
    return {
        question.involvement: {
            (person, purpose): _story(told, question.involvement, person, purpose)
            for person in question.persons
            for purpose in question.purposes
        }
        for question in questions
    }


@dataclass(frozen=True)
class _Told:
    """What was read for many stories at once."""

    children: frozenset[str]
    siblings: Mapping[str, frozenset[str]]
    decisions: Mapping[Pair, list[Decision]]
    endings: Mapping[Pair, list[Ending]]
    ended_on: Mapping[str, date | None]


def _story(told: _Told, involvement: str, person: str, purpose: str) -> Story:
    base, _ = split_use(purpose)
    scope = {involvement}
    if person in told.children:
        scope |= told.siblings.get(person, frozenset())
    mine = told.decisions.get((person, base), [])
    ended = told.ended_on.get(involvement)
    return Story(
        person,
        purpose,
        involvement,
        person in told.children,
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


def _ended_on(session: Session, involvements: Sequence[str]) -> dict[str, date | None]:
    rows = session.execute(
        select(Involvement.id, Involvement.ended_on).where(Involvement.id.in_(involvements))
    )
    return {row.id: row.ended_on for row in rows}


def findings(
    session: Session, question: Question, at: datetime, known_at: datetime | None = None
) -> dict[Pair, Finding]:
    """Return every (person, purpose)'s state at `at` as known at `known_at` (default: `at`)."""
    known = known_at or at
    return {pair: state_at(story, at, known) for pair, story in stories(session, question).items()}


def states_now(
    session: Session,
    involvement: str,
    persons: Iterable[str],
    purposes: Iterable[str],
    at: datetime,
) -> Mapping[Pair, Finding]:
    """Return the present state of every (person, purpose) in an involvement."""
    question = Question(involvement, tuple(persons), tuple(purposes), london_day(at))
    return findings(session, question, at)


def yes_decisions(session: Session, involvement: str, person: str, purpose: str) -> list[str]:
    """Return every decision that ever said yes to this, oldest first: the keys an end must end.

    A yes that names other uses only is none to this use.
    """
    base, use = split_use(purpose)
    rows = session.execute(
        select(ConsentDecision.id, ConsentDecision.named)
        .where(
            ConsentDecision.involvement_id == involvement,
            ConsentDecision.person_id == person,
            ConsentDecision.purpose == base,
            ConsentDecision.answer == "yes",
        )
        .order_by(ConsentDecision.event_at, ConsentDecision.recorded_at, ConsentDecision.id)
    )
    return [key for key, named in rows if use is None or not named or use in named]


@dataclass(frozen=True)
class Refusal:
    """A no to a purpose, or to one named use of it, about one person."""

    person: str
    purpose: str
    may_overrule: bool


def refusals_in(session: Session, act: str) -> list[Refusal]:
    """Return what an act said no to although somebody had once said yes to it."""
    rows = session.execute(
        select(ConsentDecision, *_OF_ACT)
        .join(ConsentAct, ConsentAct.id == ConsentDecision.act_id)
        .where(ConsentDecision.act_id == act, ConsentDecision.purpose.is_not(None))
    )
    said: dict[Pair, list[Decision]] = {}
    for row, form, version, late in rows:
        decision = _decision(row, (form, version, late), None)
        said.setdefault((decision.person, decision.purpose), []).append(decision)
    agreed = _agreed_to(session, {person for person, _ in said}, besides=act)
    found: list[Refusal] = []
    for (person, base), decisions in sorted(said.items()):
        uses = agreed.get((person, base))
        if uses is None:
            continue
        spelt = (
            [base] if says_no(decisions, base) else [with_use(base, use) for use in sorted(uses)]
        )
        overrules = any(d.may_overrule for d in decisions)
        found += [Refusal(person, p, overrules) for p in spelt if says_no(decisions, p)]
    return found


def _agreed_to(session: Session, persons: Iterable[str], *, besides: str) -> dict[Pair, set[str]]:
    """Return the uses named in every yes about these people, but for those of one act."""
    rows = session.execute(
        select(ConsentDecision.person_id, ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.person_id.in_(list(persons)),
            ConsentDecision.purpose.is_not(None),
            ConsentDecision.answer == "yes",
            ConsentDecision.act_id != besides,
        )
    )
    found: dict[Pair, set[str]] = {}
    for person, purpose, named in rows:
        found.setdefault((person, purpose or ""), set()).update(named)
    return found


@dataclass(frozen=True)
class Yes:
    """A yes about somebody: by whom, when, to which purpose, and the uses of it that it names."""

    by: str
    purpose: str
    named: tuple[str, ...]
    event_at: datetime

    @property
    def spelt(self) -> set[str]:
        """The uses named, or the purpose where it names none."""
        return {with_use(self.purpose, use) for use in self.named} or {self.purpose}


def yeses_about(session: Session, involvement: str, person: str) -> list[Yes]:
    """Return every yes that was ever said about this person in this involvement."""
    rows = session.execute(
        select(
            ConsentDecision.decided_by,
            ConsentDecision.purpose,
            ConsentDecision.named,
            ConsentDecision.event_at,
        ).where(
            ConsentDecision.involvement_id == involvement,
            ConsentDecision.person_id == person,
            ConsentDecision.purpose.is_not(None),
            ConsentDecision.answer == "yes",
        )
    )
    return [Yes(by, purpose or "", tuple(named), at) for by, purpose, named, at in rows]


def purposes_answered(session: Session, involvement: str, person: str) -> list[str]:
    """Return the purposes this person ever said yes to in this involvement, uses spelt out."""
    return sorted({p for yes in yeses_about(session, involvement, person) for p in yes.spelt})


def lacking_capacity(
    session: Session, involvement: str, persons: Iterable[str]
) -> dict[str, date | None]:
    """Return who lacked capacity when last asked in this involvement, and when to ask again."""
    rows = session.execute(
        select(ConsentAct.person_id, ConsentAct.capacity, ConsentAct.ask_again_on)
        .where(
            ConsentAct.involvement_id == involvement,
            ConsentAct.person_id.in_(list(persons)),
            ConsentAct.id.not_in(voided_acts()),
        )
        .order_by(ConsentAct.event_at, ConsentAct.recorded_at, ConsentAct.id)
    )
    last = {person: (capacity, again) for person, capacity, again in rows}
    return {
        person: again
        for person, (capacity, again) in sorted(last.items())
        if capacity is Capacity.LACKS_NOW
    }


def purposes_asked_about(session: Session, persons: Iterable[str]) -> list[str]:
    """Return the purposes that were answered about these people, and every use named with them."""
    rows = session.execute(
        select(ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.person_id.in_(list(persons)), ConsentDecision.purpose.is_not(None)
        )
    )
    found: set[str] = set()
    for purpose, named in rows:
        found |= {purpose or "", *(f"{purpose}:{use}" for use in named)}
    return sorted(found)


def _decisions(
    session: Session, persons: Iterable[str], bases: Iterable[str]
) -> dict[Pair, list[Decision]]:
    rows = session.execute(
        select(ConsentDecision, *_OF_ACT, ConsentActCheck.checked_at)
        .join(ConsentAct, ConsentAct.id == ConsentDecision.act_id)
        .outerjoin(ConsentActCheck, ConsentActCheck.act_id == ConsentAct.id)
        .where(
            ConsentDecision.person_id.in_(list(persons)),
            ConsentDecision.purpose.in_(list(bases)),
        )
    )
    found: dict[Pair, list[Decision]] = {}
    for row, form, version, late, checked_at in rows:
        if late and checked_at is None and row.answer == "yes":
            continue
        decision = _decision(row, (form, version, late), checked_at)
        found.setdefault((decision.person, decision.purpose), []).append(decision)
    return found


def _decision(
    row: ConsentDecision, act: tuple[str, int, bool], checked_at: datetime | None
) -> Decision:
    form, version, recorded_late = act
    late = recorded_late and checked_at is not None and row.answer == "yes"
    return Decision(
        id=row.id,
        act=row.act_id,
        involvement=row.involvement_id,
        person=row.person_id,
        decided_by=row.decided_by,
        purpose=row.purpose or "",
        answer=row.answer,
        position=row.position,
        core=row.layer == Layer.NEEDED.value,
        event_at=row.event_at,
        recorded_at=checked_at if late and checked_at else row.recorded_at,
        named=tuple(row.named),
        valid_until=row.valid_until,
        may_overrule=row.may_overrule,
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
    session: Session, persons: Iterable[str], bases: Iterable[str]
) -> dict[Pair, list[Ending]]:
    wanted = list(bases)
    rows = session.scalars(
        select(ConsentEnding).where(
            ConsentEnding.person_id.in_(list(persons)),
            or_(
                ConsentEnding.purpose.in_(wanted),
                *[ConsentEnding.purpose.startswith(f"{base}:", autoescape=True) for base in wanted],
            ),
        )
    )
    found: dict[Pair, list[Ending]] = {}
    for row in rows:
        base, _ = split_use(row.purpose)
        found.setdefault((row.person_id, base), []).append(_ending(row))
    return found


def _ending(row: ConsentEnding) -> Ending:
    return Ending(
        row.id,
        row.kind,
        row.involvement_id,
        row.person_id,
        row.purpose,
        row.event_at,
        row.recorded_at,
        row.by_person_id,
        row.ref,
        row.may_overrule,
    )
