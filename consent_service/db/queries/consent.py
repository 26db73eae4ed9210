"""Reading consent: the state that follows from what was said, and who ever said what to what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentAct, ConsentDecision
from consent_service.db.queries.columns import rows_of
from consent_service.db.queries.stories import Pair, Question, decisions_of_act, stories
from consent_service.db.queries.voided import voided_acts
from consent_service.domain.consent import Answer, Capacity, Decision, Finding, says_no, state_at
from consent_service.domain.purposes import split_use, with_use

_DECISION = ConsentDecision.__table__.c
_YESES = select(_DECISION.decided_by, _DECISION.purpose, _DECISION.named, _DECISION.event_at).where(
    _DECISION.involvement_id == bindparam("involvement"),
    _DECISION.person_id == bindparam("person"),
    _DECISION.purpose.is_not(None),
    _DECISION.answer == Answer.YES,
)


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
    said: dict[Pair, list[Decision]] = {}
    for decision in decisions_of_act(session, act):
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
    rows = rows_of(session, _YESES, involvement=involvement, person=person)
    return [Yes(by, purpose, tuple(named), at) for by, purpose, named, at in rows]


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
