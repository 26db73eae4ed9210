"""Why is this here until 2049? Rule, facts, source, and what stands in the way (rule 8)."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.db.queries import retention as stored
from consent_service.db.queries.pages import Order, page_of
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.paging import Page, PageAsk
from consent_service.domain.retention import Due, Term
from consent_service.domain.retention_rules import (
    Confidence,
    RetentionAction,
    RetentionMode,
)
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.services import retention_dates, retention_plan
from consent_service.services.access import Caller, involvement_for, require, teams_reached
from consent_service.services.context import Context

_SOONEST_FIRST = Order((Asset.due_on, Asset.id), descending=False)


@dataclass(frozen=True)
class DueView:
    """One asset and its date."""

    asset: str
    kind: AssetKind
    involvement: str
    state: AssetState
    rule: str
    due_on: date
    gone_by: date | None


@dataclass(frozen=True)
class Class:
    """One class that an asset is in, and the day that its rule gives."""

    rule: str
    title: str
    mode: RetentionMode
    action: RetentionAction
    due_on: date | None
    gone_by: date | None
    legal_basis: str
    source: str
    confidence: Confidence
    note: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an asset is here until its day: rule, facts, source (rule 8).

    `by` is the class that keeps longest, `others` the rest; `held` names the standing holds,
    `appraisal` the decision that lets a job destroy it, `disposition` its open line in the queue.
    """

    asset: str
    kind: AssetKind
    involvement: str
    state: AssetState
    due_on: date | None
    gone_by: date | None
    by: Class
    others: tuple[Class, ...]
    held: tuple[str, ...]
    appraisal: str | None
    disposition: str | None


def page_of_due(
    ctx: Context, caller: Caller, ask: PageAsk, *, until: date | None = None
) -> Page[DueView]:
    """Return what the caller may see that is due by a day (today without one), soonest first."""
    require(ctx, caller, Permission.RETENTION_READ)
    query = stored.due_by(until or london_day(ctx.clock.now()))
    teams = teams_reached(ctx, caller, Permission.RETENTION_READ)
    if teams is not None:
        query = query.join(Involvement, Involvement.id == Asset.involvement_id).where(
            Involvement.team_id.in_(teams)
        )
    with ctx.read() as session:
        found = page_of(session, query, _SOONEST_FIRST, ask)
        return found.of([_due_view(row) for row in found.items])


def _due_view(row: Asset) -> DueView:
    if row.due_on is None:
        raise ValueError("what is due has a day")
    return DueView(
        row.id, row.kind, row.involvement_id, row.state, row.rule or "", row.due_on, row.gone_by
    )


def explain(ctx: Context, caller: Caller, asset: str) -> Explanation:
    """Say why an asset is still here: rule, facts, source, and what stands in the way."""
    with ctx.read() as session:
        row = session.get(Asset, asset)
        if row is None:
            raise _no_asset()
        involvement_for(ctx, session, caller, Permission.RETENTION_READ, row.involvement_id)
        now = ctx.clock.now()
        kept = retention_dates.keeping(ctx, session, row.involvement_id, [row], now)[row.id]
        classes = [_class(found) for found in kept.all]
        by = _class(kept.by)
        newest = stored.newest_dispositions(session, [row.id]).get(row.id)
        return Explanation(
            row.id,
            row.kind,
            row.involvement_id,
            row.state,
            kept.due_on,
            kept.gone_by,
            by,
            tuple(c for c in classes if c != by),
            _holds(session, row),
            stored.appraisals_in_force(session, london_day(now)).get(by.rule),
            newest.id if newest is not None and retention_plan.is_open(newest) else None,
        )


def _class(found: Due) -> Class:
    rule = found.rule
    return Class(
        rule.id,
        rule.title,
        rule.mode,
        rule.action,
        found.due_on,
        found.gone_by,
        rule.legal_basis,
        rule.source,
        rule.confidence,
        rule.note,
        found.terms,
    )


def _holds(session: Session, asset: Asset) -> tuple[str, ...]:
    rows = session.scalars(
        select(Hold.id).where(
            Hold.involvement_id == asset.involvement_id,
            Hold.released_at.is_(None),
            Hold.asset_id.is_(None) | Hold.asset_id.in_([asset.id, asset.source_id or asset.id]),
        )
    )
    return tuple(rows)


def _no_asset() -> NotFound:
    return NotFound("There is no such film that you can see.", kind="asset")
