"""Families in the caller's reach: a page of all of them, and those to which people belong."""

from collections.abc import Sequence

from sqlalchemy import Select, case, select

from consent_service.db.models.people import Involvement, InvolvementPerson
from consent_service.db.queries.pages import Order, page_of
from consent_service.domain.paging import Page, PageAsk
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, require, teams_reached
from consent_service.services.context import Context
from consent_service.services.involvements import InvolvementView, involvement_views

_OPEN_FIRST = Order(
    (case((Involvement.ended_on.is_(None), 1), else_=0), Involvement.started_on, Involvement.id)
)
"""Open ones first, then the newest."""


def page_of_families(ctx: Context, caller: Caller, ask: PageAsk) -> Page[InvolvementView]:
    """Return involvements in the caller's reach: open ones first, then the newest."""
    with ctx.read() as session:
        found = page_of(session, _in_reach(ctx, caller), _OPEN_FIRST, ask)
        ids = [row.id for row in found.items]
        return found.of(involvement_views(session, found.items, ids))


def families_of(ctx: Context, caller: Caller, people: Sequence[str]) -> list[InvolvementView]:
    """Return the involvements in the caller's reach to which one of these people belongs."""
    theirs = select(InvolvementPerson.involvement_id).where(InvolvementPerson.person_id.in_(people))
    query = _in_reach(ctx, caller).where(Involvement.id.in_(theirs))
    with ctx.read() as session:
        rows = session.scalars(query.order_by(*(key.desc() for key in _OPEN_FIRST.keys))).all()
        return involvement_views(session, rows, [row.id for row in rows])


def _in_reach(ctx: Context, caller: Caller) -> Select[Involvement]:
    require(ctx, caller, Permission.INVOLVEMENT_READ)
    teams = teams_reached(ctx, caller, Permission.INVOLVEMENT_READ)
    query = select(Involvement)
    return query if teams is None else query.where(Involvement.team_id.in_(teams))
