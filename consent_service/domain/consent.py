"""Consent as an event log, and the state that follows from it (rules 1 to 4, 10, 14).

Pure. Nothing is overwritten: decisions and endings are appended, and the state of any (person,
purpose) is computed from them for a pair of moments, as it was at `at` as known at `known_at`.

Rules kept here:
  * unanswered is no;
  * a no for a child covers every open involvement of that child; a yes never carries over;
  * a yes that names uses is a word on those uses only: about any other use, and about the purpose
    as a whole, it says nothing; a no is a no to every use;
  * for a child, yes by one and no or withdrawal by another is *disputed*, unless someone who may
    overrule has spoken or the IG officer has resolved it: in this involvement, and in no other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from consent_service.clock import london_day
from consent_service.domain.purposes import split_use


class ConsentState(StrEnum):
    """What stands for one person and one purpose."""

    NOT_ASKED = "not_asked"
    NOT_ANSWERED = "not_answered"
    GIVEN = "given"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    DISPUTED = "disputed"
    SUPERSEDED = "superseded"


class Answer(StrEnum):
    """How a statement was answered."""

    YES = "yes"
    NO = "no"
    CONFIRMED = "confirmed"
    CHOSEN = "chosen"
    SAID = "said"


class Capacity(StrEnum):
    """The guider's finding at each act (rule 14)."""

    NO_DOUBT = "no_reason_to_doubt"
    ASSESSED_HAS = "assessed_has_capacity"
    LACKS_NOW = "lacks_capacity_now"


class SignatureKind(StrEnum):
    """How an act was signed."""

    DRAWN = "drawn"
    TYPED = "typed"
    PAPER = "paper"


class EndingKind(StrEnum):
    """What ended, or settled, a consent after it was given.

    A *refused* one stands for the no of an act that a restored backup has lost.
    """

    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    UNDONE = "undone"
    REVOKED = "revoked"
    INVALIDATED = "invalidated"
    RESOLVED_GIVEN = "resolved_given"
    RESOLVED_DECLINED = "resolved_declined"


@dataclass(frozen=True)
class Decision:
    """One answer to one statement that governs a purpose, for one person, in one act.

    `named` holds the codes of the uses, studies or groups that the yes covers; `valid_until` is
    the last day on which it holds, if there is one; `position` is the statement's place in the
    form; `core` tells a statement without which there is no VIG (layer C).
    """

    id: str
    act: str
    involvement: str
    person: str
    decided_by: str
    purpose: str
    answer: Answer
    position: int
    core: bool
    event_at: datetime
    recorded_at: datetime
    named: tuple[str, ...] = ()
    valid_until: date | None = None
    may_overrule: bool = False
    form: str = ""
    form_version: int = 0


@dataclass(frozen=True)
class Ending:
    """A later act on a consent: an end, an undo, or a resolution.

    `by` is the person who ended it (None: the organisation); `ref` is the withdrawal that is made
    or undone, or the act that is invalidated. `cancels_at` is set on a withdrawal that was undone.
    """

    id: str
    kind: EndingKind
    involvement: str
    person: str
    purpose: str
    event_at: datetime
    recorded_at: datetime
    by: str | None = None
    ref: str | None = None
    may_overrule: bool = False


@dataclass(frozen=True)
class Asked:
    """Someone was put a statement for this purpose in an act, whether answered or not."""

    person: str
    purpose: str
    event_at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class Story:
    """All that was said about one person and one purpose, in any order.

    `involvement` is the one that is asked about; decisions of the child's other *open*
    involvements are given too, for the sake of their noes. `child` tells whether others decide.
    """

    person: str
    purpose: str
    involvement: str
    child: bool
    decisions: tuple[Decision, ...] = ()
    endings: tuple[Ending, ...] = ()
    asked: tuple[Asked, ...] = ()


@dataclass(frozen=True)
class Finding:
    """The state, and the decisions that grant it.

    `granting` lists the decisions whose consent key may open film, the preferred first; empty
    unless the state is *given*. `since` is the moment from which the state holds.
    """

    state: ConsentState
    granting: tuple[str, ...] = ()
    valid_until: date | None = None
    since: datetime | None = None
    form_versions: tuple[tuple[str, int], ...] = ()


class _Stance(StrEnum):
    YES = "yes"
    NO = "no"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True)
class _Verdict:
    """What one act said: yes only if its deciding statements all say so."""

    decision: Decision
    yes: bool
    valid_until: date | None


@dataclass(frozen=True)
class _Position:
    """Where one decider stands now."""

    by: str
    stance: _Stance
    since: datetime
    overrules: bool
    verdict: _Verdict | None


def state_at(story: Story, at: datetime, known_at: datetime) -> Finding:
    """Compute the state of a (person, purpose) at `at` as known at `known_at` (rule 1).

    Both are aware UTC instants. An event counts when it had happened by `at` and had been
    recorded by `known_at`.
    """
    endings = [e for e in story.endings if _counts(e, at, known_at)]
    voided = {e.ref for e in endings if e.kind is EndingKind.INVALIDATED}
    verdicts = _verdicts(
        [d for d in story.decisions if _counts(d, at, known_at) and d.act not in voided],
        split_use(story.purpose)[1],
    )
    undone = {e.ref for e in endings if e.kind is EndingKind.UNDONE}
    withdrawals = [
        e for e in endings if e.kind is EndingKind.WITHDRAWN and (e.ref or e.id) not in undone
    ]
    refusals = [e for e in endings if e.kind is EndingKind.REFUSED and e.ref not in voided]
    positions = _positions(story, verdicts, [*withdrawals, *refusals], london_day(at))
    finding = _settle(story, positions, endings)
    if finding is not None:
        return finding
    if voided & {d.act for d in story.decisions}:
        return Finding(ConsentState.INVALIDATED)
    if any(_counts(a, at, known_at) for a in story.asked):
        return Finding(ConsentState.NOT_ANSWERED)
    return Finding(ConsentState.NOT_ASKED)


def _counts(event: Decision | Ending | Asked, at: datetime, known_at: datetime) -> bool:
    return event.event_at <= at and event.recorded_at <= known_at


def _order(event: Decision | Ending) -> tuple[datetime, datetime, str]:
    return event.event_at, event.recorded_at, event.id


def _verdicts(decisions: Iterable[Decision], named: str | None) -> list[_Verdict]:
    acts: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        acts.setdefault((decision.act, decision.decided_by), []).append(decision)
    found = (_verdict(sorted(group, key=lambda d: d.position), named) for group in acts.values())
    return [verdict for verdict in found if verdict is not None]


def _verdict(group: Sequence[Decision], named: str | None) -> _Verdict | None:
    """Return what one act said about a purpose or one named use; None when it said nothing."""
    first = group[0]
    deciding = [d for d in group if d.core] or [first]
    yes = all(d.answer is Answer.YES for d in deciding)
    if yes and not _speaks_of(named, group, deciding):
        if named is None or all(d.answer is Answer.YES for d in group):
            return None
        yes = False
    ends = [d.valid_until for d in deciding if d.valid_until is not None]
    return _Verdict(first, yes, min(ends, default=None))


def _speaks_of(named: str | None, group: Sequence[Decision], deciding: Sequence[Decision]) -> bool:
    """Tell whether a yes is about this use, or for None about the purpose without naming uses."""
    if named is None:
        return not all(d.named for d in deciding)
    return any(named in d.named for d in group)


def says_no(decisions: Iterable[Decision], purpose: str) -> bool:
    """Tell whether one of these acts is a no to a purpose or to one of its named uses."""
    return any(not verdict.yes for verdict in _verdicts(decisions, split_use(purpose)[1]))


def _positions(
    story: Story, verdicts: Sequence[_Verdict], ended: Sequence[Ending], today: date
) -> list[_Position]:
    deciders = {v.decision.decided_by for v in verdicts} | {e.by for e in ended if e.by}
    positions = (
        _position_of(
            decider,
            story.involvement,
            [v for v in verdicts if v.decision.decided_by == decider],
            [e for e in ended if e.by == decider],
            today,
        )
        for decider in sorted(deciders)
    )
    return [p for p in positions if p is not None]


def _position_of(
    decider: str,
    involvement: str,
    verdicts: Sequence[_Verdict],
    endings: Sequence[Ending],
    today: date,
) -> _Position | None:
    here = [v for v in verdicts if v.decision.involvement == involvement or not v.yes]
    latest = max(here, key=lambda v: _order(v.decision), default=None)
    ended = max(endings, key=_order, default=None)
    if ended is not None and (latest is None or _order(ended)[:2] >= _order(latest.decision)[:2]):
        stance = _Stance.NO if ended.kind is EndingKind.REFUSED else _Stance.WITHDRAWN
        return _Position(decider, stance, ended.event_at, ended.may_overrule, latest)
    if latest is None:
        return None
    stance = _Stance.YES if latest.yes else _Stance.NO
    if latest.yes and latest.valid_until is not None and today > latest.valid_until:
        stance = _Stance.EXPIRED
    decision = latest.decision
    return _Position(decider, stance, decision.event_at, decision.may_overrule, latest)


def _settle(
    story: Story, positions: Sequence[_Position], endings: Sequence[Ending]
) -> Finding | None:
    """Return the finding that the positions and the organisation's acts amount to, if any."""
    if not positions:
        return None
    newest = max(p.since for p in positions)
    revoked = max((e.event_at for e in endings if _revokes(e, story.involvement)), default=None)
    if revoked is not None:
        if revoked >= newest:
            return Finding(ConsentState.REVOKED, since=revoked)
        # Another's new yes revives none from before: what was ended stays shut.
        positions = [p for p in positions if p.stance is not _Stance.YES or p.since > revoked]
    own = [p for p in positions if p.by == story.person]
    if own and not story.child:
        return _of_one(max(own, key=lambda p: p.since))
    # Also of who has grown up and not spoken yet: what was frozen for them does not open by itself.
    overruling = [p for p in positions if p.overrules]
    if overruling:
        settled = _of_one(max(overruling, key=lambda p: p.since))
        return settled if settled.state is not ConsentState.GIVEN else _given(positions)
    here = [e for e in endings if e.involvement == story.involvement]
    return _of_holders(positions, here, newest)


def _revokes(ending: Ending, involvement: str) -> bool:
    return ending.kind is EndingKind.REVOKED and ending.involvement == involvement


def _of_holders(
    positions: Sequence[_Position], endings: Sequence[Ending], newest: datetime
) -> Finding:
    stances = {p.stance for p in positions}
    against = stances & {_Stance.NO, _Stance.WITHDRAWN}
    if _Stance.YES in stances and against:
        return _resolved(positions, endings, newest)
    if _Stance.YES in stances:
        return _given(positions)
    for stance, state in (
        (_Stance.WITHDRAWN, ConsentState.WITHDRAWN),
        (_Stance.EXPIRED, ConsentState.EXPIRED),
    ):
        if stance in stances:
            return Finding(state, since=max(p.since for p in positions if p.stance is stance))
    return Finding(ConsentState.DECLINED, since=newest)


def _resolved(
    positions: Sequence[_Position], endings: Sequence[Ending], newest: datetime
) -> Finding:
    kinds = {EndingKind.RESOLVED_GIVEN, EndingKind.RESOLVED_DECLINED}
    resolutions = [e for e in endings if e.kind in kinds and e.event_at >= newest]
    if not resolutions:
        return Finding(ConsentState.DISPUTED, since=newest)
    last = max(resolutions, key=_order)
    if last.kind is EndingKind.RESOLVED_GIVEN:
        return _given(positions)
    return Finding(ConsentState.DECLINED, since=last.event_at)


def _given(positions: Sequence[_Position]) -> Finding:
    """Return *given* for a child: the earliest yes first, since it made the key."""
    verdicts = [p.verdict for p in positions if p.stance is _Stance.YES and p.verdict]
    verdicts.sort(key=lambda v: _order(v.decision))
    agreed = [p.since for p in positions if p.stance is _Stance.YES]
    withdrawn = [
        p.verdict
        for p in positions
        if p.stance is _Stance.WITHDRAWN and p.verdict is not None and p.since > min(agreed)
    ]
    granting = [v.decision.id for v in verdicts]
    # A resolved dispute re-opens the key that an earlier yes made, whoever has withdrawn since.
    # Not so where nobody else agreed then: that stop was no dispute, and what it ended is over.
    granting += [v.decision.id for v in withdrawn if v.yes]
    ends = [v.valid_until for v in verdicts]
    return Finding(
        ConsentState.GIVEN,
        tuple(granting),
        None if None in ends else max((e for e in ends if e is not None), default=None),
        min((v.decision.event_at for v in verdicts), default=None),
        tuple((v.decision.form, v.decision.form_version) for v in verdicts),
    )


def _of_one(position: _Position) -> Finding:
    states = {
        _Stance.NO: ConsentState.DECLINED,
        _Stance.WITHDRAWN: ConsentState.WITHDRAWN,
        _Stance.EXPIRED: ConsentState.EXPIRED,
    }
    if position.stance is not _Stance.YES or position.verdict is None:
        return Finding(states[position.stance], since=position.since)
    return _given([position])
