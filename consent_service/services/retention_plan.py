"""What is due, and what becomes of each thing: destroyed, kept on a ground, or decided by a person.

Rules kept here:
  * nothing is destroyed but under an approved, unexpired, unrevoked appraisal of its class; any
    hold wins, and a dispute freezes (rule 8);
  * consent that ran out or was refused ends a thing like its date does, under the same appraisal;
    an invalid act or the death of anyone depicted goes to a person, always (rule 4);
  * what is due is found by index; dates are then computed anew from the facts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement, Person
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Disposition
from consent_service.db.queries import retention as stored
from consent_service.db.queries.erasure import holdings
from consent_service.domain.assets import AssetState, RecordClass
from consent_service.domain.calendar import Period, Unit, gone_by
from consent_service.domain.consent import ConsentState, Finding
from consent_service.domain.erasure import Holding, OrderCause
from consent_service.domain.purposes import CARE, split_use
from consent_service.domain.retention import Keeping, cap, enough_for
from consent_service.domain.retention_rules import RetentionMode
from consent_service.services import keys, retention_dates
from consent_service.services.context import Context

ASSET = "asset"
_ENDED = frozenset(
    {
        ConsentState.EXPIRED,
        ConsentState.DECLINED,
        ConsentState.WITHDRAWN,
        ConsentState.REVOKED,
        ConsentState.INVALIDATED,
    }
)


class Fate(StrEnum):
    """What a plan makes of one thing."""

    DESTROY = "destroy"
    KEEP = "keep"
    REVIEW = "review"


@dataclass(frozen=True)
class PlanLine:
    """One thing that is due, what becomes of it, and why.

    `reason` is `appraisal`, a ground for keeping (`hold`, `dispute`, `decided`), or why a person
    decides: `no_appraisal`, `review_class`, `restricted`, `death`, `consent_invalid`. `queued`
    tells that it is in the queue already. `cause` is why it would be destroyed.
    """

    kind: str
    subject: str
    involvement: str | None
    rule: str
    due_on: date
    gone_by: date | None
    fate: Fate
    reason: str
    cause: OrderCause = OrderCause.RETENTION
    appraisal: str | None = None
    queued: bool = False


@dataclass(frozen=True)
class ClassFigures:
    """How much of one class a plan destroys, and whether one run may.

    `standing` is how much of the class there is, given where it is too little for so much to go
    without asking; of any other class it is not counted to the end, and None.
    """

    rule: str
    destroy: int
    standing: int | None

    @property
    def above_limit(self) -> bool:
        """Whether the plan stops and asks."""
        return self.standing is not None


@dataclass(frozen=True)
class Rulings:
    """What was decided before: appraisals in force (rule -> id) and the queue's newest lines."""

    appraisals: Mapping[str, str]
    dispositions: Mapping[str, Disposition]
    today: date


@dataclass(frozen=True)
class _Case:
    """One asset that may be due, with all that decides its fate."""

    asset: Asset
    keeping: Keeping
    holding: Holding
    cause: OrderCause
    due_on: date
    died: bool
    invalid: bool


def candidates(ctx: Context, session: Session, at: datetime) -> dict[str, set[str]]:
    """Return involvement -> assets that may be due, by index; `lines_of` decides."""
    found: dict[str, set[str]] = {}
    days = timedelta(days=ctx.policies.organisation.awaiting_consent_days)
    today = london_day(at)
    rows = stored.due_assets(session, today) + stored.waited_too_long(session, at - days)
    rows += session.scalars(select(Asset).where(Asset.state == AssetState.RESTRICTED)).all()
    for row in rows:
        found.setdefault(row.involvement_id, set()).add(row.id)
    for involvement, asset in stored.assets_of_the_quiet(session, quiet_since(ctx, at)):
        found.setdefault(involvement, set()).add(asset)
    kept_by_care = ctx.policies.purposes[CARE].sustains
    for involvement in stored.involvements_with_ended_consent(session, today, kept_by_care):
        ids = {asset.id for asset in stored.standing_assets(session, involvement)}
        found.setdefault(involvement, set()).update(ids)
    return found


def quiet_since(ctx: Context, at: datetime) -> datetime:
    """Return the instant before which a last entry makes an involvement count as ended."""
    months = ctx.policies.organisation.inactivity.counts_as_ended_after_months
    # Days enough for the months asked for; `ended_on` counts the months exactly.
    return at - timedelta(days=months * 28)


def lines_of(
    ctx: Context, session: Session, involvement: str, wanted: Iterable[str], at: datetime
) -> list[PlanLine]:
    """Return the lines of those wanted assets of an involvement that are due now."""
    ordered = stored.already_ordered(session, involvement)
    ids = set(wanted) - ordered
    assets = [a for a in stored.standing_assets(session, involvement) if a.id in ids]
    if not assets:
        return []
    today = london_day(at)
    rulings = Rulings(
        stored.appraisals_in_force(session, today),
        stored.newest_dispositions(session, [a.id for a in assets]),
        today,
    )
    cases = _cases(ctx, session, involvement, assets, at)
    return [line_of(case, rulings) for case in cases]


def line_of(case: _Case, rulings: Rulings) -> PlanLine:
    """Decide what becomes of one asset that is due."""
    rule = case.keeping.by.rule
    newest = rulings.dispositions.get(case.asset.id)
    appraisal = rulings.appraisals.get(rule.id)
    fate, reason = _fate(case, newest, appraisal, rulings.today)
    return PlanLine(
        ASSET,
        case.asset.id,
        case.asset.involvement_id,
        rule.id,
        case.due_on,
        case.keeping.gone_by,
        fate,
        reason,
        case.cause,
        appraisal if fate is Fate.DESTROY else None,
        queued=newest is not None and is_open(newest),
    )


def is_open(row: Disposition) -> bool:
    """Tell whether somebody has yet to decide, or to confirm a destruction."""
    return row.decided_at is None or (row.decision == "destroy" and row.confirmed_at is None)


def figures_of(
    lines: Sequence[PlanLine], standing: Callable[[str, int], int]
) -> tuple[ClassFigures, ...]:
    """Return, per class with something to destroy, how much of it a plan takes.

    `standing` counts a class no further than the number given, which is how much of it must stand
    for the plan to go through: a smaller count is all there is.
    """
    counts: dict[str, int] = {}
    for line in lines:
        if line.fate is Fate.DESTROY:
            counts[line.rule] = counts.get(line.rule, 0) + 1
    found = []
    for rule, count in sorted(counts.items()):
        there = standing(rule, enough_for(count))
        found.append(ClassFigures(rule, count, there if count > cap(there) else None))
    return tuple(found)


def _fate(
    case: _Case, newest: Disposition | None, appraisal: str | None, today: date
) -> tuple[Fate, str]:
    if case.holding.held:
        return Fate.KEEP, "hold"
    if case.holding.disputed:
        return Fate.KEEP, "dispute"
    if newest is not None and newest.look_again_on is not None and newest.look_again_on > today:
        return Fate.KEEP, "decided"
    if case.asset.state is AssetState.RESTRICTED:
        return Fate.REVIEW, "restricted"
    if case.died:
        return Fate.REVIEW, "death"
    if case.invalid:
        return Fate.REVIEW, "consent_invalid"
    if case.keeping.by.rule.mode is not RetentionMode.AUTO:
        return Fate.REVIEW, "review_class"
    return (Fate.REVIEW, "no_appraisal") if appraisal is None else (Fate.DESTROY, "appraisal")


def _cases(
    ctx: Context, session: Session, involvement: str, assets: Sequence[Asset], at: datetime
) -> list[_Case]:
    kept = retention_dates.keeping(ctx, session, involvement, assets, at)
    held = {h.asset: h for h in holdings(session, ctx.policies.purposes, assets, at)}
    depicted = keys.depicted_by_asset(session, [a.id for a in assets])
    states = keys.consent_picture(ctx, session, involvement)
    dead = _dead_among(session, {p for people in depicted.values() for p in people})
    found = []
    for asset in assets:
        people = depicted.get(asset.id, ())
        ended = _ended_uses(ctx, asset, people, states)
        cause, due_on = _why_due(ctx, asset, kept[asset.id], bool(ended), at)
        if due_on is None:
            continue
        case = _Case(
            asset,
            kept[asset.id],
            held[asset.id],
            cause,
            due_on,
            died=bool(dead & set(people)),
            invalid=ConsentState.INVALIDATED in ended,
        )
        found.append(case)
    return found


def _why_due(
    ctx: Context, asset: Asset, keeping: Keeping, consent_ended: bool, at: datetime
) -> tuple[OrderCause, date | None]:
    today = london_day(at)
    if keeping.due_on is not None and keeping.due_on <= today:
        return OrderCause.RETENTION, keeping.due_on
    if asset.state is AssetState.RESTRICTED:
        return OrderCause.RETENTION, today
    waited = asset.state is AssetState.AWAITING_CONSENT and asset.awaiting_since is not None
    days = Period(ctx.policies.organisation.awaiting_consent_days, Unit.DAYS)
    if waited and asset.awaiting_since is not None:
        last = gone_by(london_day(asset.awaiting_since), days)
        if last <= today:
            return OrderCause.CONSENT_REFUSED, last
    if consent_ended and asset.record_class is RecordClass.TRANSITORY:
        return OrderCause.CONSENT_REFUSED, today
    return OrderCause.RETENTION, None


def _ended_uses(
    ctx: Context,
    asset: Asset,
    people: Sequence[str],
    states: Mapping[tuple[str, str], Finding],
) -> frozenset[ConsentState]:
    """Return how every use that sustains this asset ended; empty while one may still be given.

    A use that somebody has only not been asked for, or not answered, may still be given.
    """
    found: set[ConsentState] = set()
    for use in sorted({purpose for _, purpose in states}):
        purpose = ctx.policies.purposes.get(split_use(use)[0])
        if purpose is None or not purpose.keeps(asset.kind):
            continue
        ended = {states[p, use].state for p in people if (p, use) in states} & _ENDED
        if not ended:
            return frozenset()
        found |= ended
    return frozenset(found)


def _dead_among(session: Session, persons: Iterable[str]) -> set[str]:
    return set(
        session.scalars(
            select(Person.id).where(Person.id.in_(sorted(persons)), Person.died_on.is_not(None))
        )
    )


def team_of(session: Session, involvement: str | None) -> str:
    """Return the team of an involvement; an empty text when there is none."""
    if involvement is None:
        return ""
    return session.scalar(select(Involvement.team_id).where(Involvement.id == involvement)) or ""
