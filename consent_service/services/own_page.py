"""A person's own page: what they themselves agreed to, were given and stopped, and nothing else.

Rules kept here:
  * only this person's own answers and withdrawals count: what another parent said or stopped for
    the same child, disputes, holds and the state that follows from them are never told;
  * nothing of film, and nobody's name but their own and that of a child whom they decide for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentAct, ConsentEnding
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.people import Person
from consent_service.db.models.policies import LeafletIssue, LeafletVersion
from consent_service.db.queries.people import children_among, members, responsibilities_for
from consent_service.domain.consent import Answer, EndingKind
from consent_service.domain.people import holder_for
from consent_service.domain.purposes import split_use, with_use
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, Own, involvement_for, require_own
from consent_service.services.consent_views import ConsentActView, DecisionView, act_views
from consent_service.services.context import Context
from consent_service.services.withdrawal_outcome import WithdrawalView, withdrawal_views


class Standing(StrEnum):
    """How one of a person's own answers stands by what they themselves said since."""

    STANDS = "stands"
    NO = "no"
    WAITS = "waits"
    STOPPED = "stopped"
    RAN_OUT = "ran_out"
    ENDED_BY_US = "ended_by_us"
    NEVER_VALID = "never_valid"


@dataclass(frozen=True)
class SaidLine:
    """The last answer to one line about one person. `since` is when it became so."""

    act: str
    statement: str
    about: str
    purpose: str | None
    words: str | None
    named: tuple[str, ...]
    standing: Standing
    said_at: datetime
    since: datetime
    until: date | None

    @property
    def spelt(self) -> tuple[str, ...]:
        """The purpose, or each use of it that was named."""
        if self.purpose is None:
            return ()
        return tuple(with_use(self.purpose, use) for use in self.named) or (self.purpose,)


@dataclass(frozen=True)
class GivenLeaflet:
    """A leaflet that the person was given."""

    code: str
    version: int
    language: str
    title: str
    given_on: date


@dataclass(frozen=True)
class OwnPage:
    """All that a person's own page tells. `names` are their own and their children's, by id."""

    person: str
    involvement: str
    names: Mapping[str, str]
    lines: tuple[SaidLine, ...]
    acts: tuple[ConsentActView, ...]
    leaflets: tuple[GivenLeaflet, ...]
    withdrawals: tuple[WithdrawalView, ...]

    @property
    def by_person(self) -> list[tuple[str, list[SaidLine]]]:
        """Return the lines about each person, this person's own first."""
        found: dict[str, list[SaidLine]] = {}
        for line in self.lines:
            found.setdefault(line.about, []).append(line)
        return list(found.items())


def own_page(ctx: Context, caller: Caller) -> OwnPage:
    """Return what the holder of a link may see of their own words and papers."""
    own = require_own(caller)
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.CONSENT_READ, own.involvement)
        now = ctx.clock.now()
        mine = session.scalars(
            select(ConsentAct)
            .where(ConsentAct.involvement_id == own.involvement, ConsentAct.person_id == own.person)
            .order_by(ConsentAct.event_at, ConsentAct.recorded_at, ConsentAct.id)
        ).all()
        acts = act_views(session, mine)
        return OwnPage(
            own.person,
            own.involvement,
            _names(session, own, acts, now),
            tuple(_lines(session, own, acts, now)),
            tuple(reversed(acts)),
            tuple(_leaflets(session, own)),
            tuple(_withdrawals(ctx, session, caller, own)),
        )


def decides_for(session: Session, own: Own, today: date) -> list[str]:
    """Return whose consent this person may withdraw: their own, then their children's."""
    people = [person.id for _, person in members(session, own.involvement)]
    children = children_among(session, people, today)
    held = responsibilities_for(session, children)
    theirs = [c for c in people if c in children and holder_for(held, c, own.person, today)]
    return ([] if own.person in children else [own.person]) + theirs


def _names(
    session: Session, own: Own, acts: Sequence[ConsentActView], now: datetime
) -> dict[str, str]:
    about = {own.person, *decides_for(session, own, london_day(now))}
    about |= {decision.person for act in acts for decision in act.decisions}
    rows = session.execute(select(Person.id, Person.full_name).where(Person.id.in_(about)))
    return {row.id: row.full_name for row in rows}


def _lines(
    session: Session, own: Own, acts: Sequence[ConsentActView], now: datetime
) -> list[SaidLine]:
    latest: dict[tuple[str, str], tuple[ConsentActView, DecisionView]] = {}
    for act in acts:
        for decision in act.decisions:
            if decision.answer in (Answer.YES, Answer.NO):
                key = (decision.person, decision.statement)
                latest.pop(key, None)
                latest[key] = act, decision
    ends = _endings(session, own, {person for person, _ in latest})
    lines = [_line(act, decision, ends, now) for act, decision in latest.values()]
    return sorted(lines, key=lambda line: line.about != own.person)


def _endings(session: Session, own: Own, about: set[str]) -> list[ConsentEnding]:
    """Return the ends that this person may know of: their own, and the organisation's of theirs."""
    rows = session.scalars(
        select(ConsentEnding).where(
            ConsentEnding.involvement_id == own.involvement,
            ConsentEnding.person_id.in_(about),
            or_(
                ConsentEnding.by_person_id == own.person,
                (ConsentEnding.kind == EndingKind.REVOKED)
                & (ConsentEnding.person_id == own.person),
            ),
        )
    ).all()
    undone = {row.ref for row in rows if row.kind is EndingKind.UNDONE}
    ending = (EndingKind.WITHDRAWN, EndingKind.REVOKED)
    return [row for row in rows if row.kind in ending and row.ref not in undone]


def _line(
    act: ConsentActView, decision: DecisionView, ends: Sequence[ConsentEnding], now: datetime
) -> SaidLine:
    spelt = {with_use(decision.purpose or "", use) for use in decision.named}
    hits = [
        end
        for end in ends
        if end.person_id == decision.person
        and end.event_at >= act.event_at
        and end.purpose in {decision.purpose, *spelt}
    ]
    standing, since = _standing(act, decision, hits, london_day(now))
    return SaidLine(
        act.id,
        decision.statement,
        decision.person,
        decision.purpose,
        decision.words,
        decision.named,
        standing,
        act.event_at,
        since,
        decision.valid_until,
    )


def _standing(
    act: ConsentActView, decision: DecisionView, hits: Sequence[ConsentEnding], today: date
) -> tuple[Standing, datetime]:
    if act.never_valid_since is not None:
        return Standing.NEVER_VALID, act.never_valid_since
    if decision.answer is Answer.NO:
        return Standing.NO, act.event_at
    whole = [h for h in hits if h.purpose == split_use(h.purpose)[0]]
    named = {h.purpose for h in hits}
    if whole or (decision.named and len(named) >= len(decision.named)):
        last = max(hits, key=lambda hit: hit.event_at)
        ours = last.kind is EndingKind.REVOKED
        return (Standing.ENDED_BY_US if ours else Standing.STOPPED), last.event_at
    if act.recorded_late and act.checked_at is None:
        return Standing.WAITS, act.event_at
    if decision.valid_until is not None and today > decision.valid_until:
        return Standing.RAN_OUT, act.event_at
    return Standing.STANDS, act.event_at


def _leaflets(session: Session, own: Own) -> list[GivenLeaflet]:
    rows = session.execute(
        select(LeafletIssue, LeafletVersion)
        .join(LeafletVersion, LeafletVersion.id == LeafletIssue.leaflet_version_id)
        .where(LeafletIssue.involvement_id == own.involvement, LeafletIssue.person_id == own.person)
        .order_by(LeafletIssue.given_on.desc(), LeafletIssue.recorded_at.desc())
    )
    found: dict[tuple[str, int, str], GivenLeaflet] = {}
    for issue, version in rows:
        key = (version.code, version.version, issue.language)
        found.setdefault(key, GivenLeaflet(*key, version.title, issue.given_on))
    return list(found.values())


def _withdrawals(ctx: Context, session: Session, caller: Caller, own: Own) -> list[WithdrawalView]:
    rows = session.scalars(
        select(Withdrawal)
        .where(Withdrawal.involvement_id == own.involvement, Withdrawal.by_person_id == own.person)
        .order_by(Withdrawal.recorded_at.desc(), Withdrawal.id)
    ).all()
    return withdrawal_views(ctx, session, caller, rows)
