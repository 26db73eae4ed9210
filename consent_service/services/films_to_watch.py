"""Clips and photos that somebody may watch, of all their families at once, a page at a time.

Rules kept here: what may be watched follows from consent and fences at this moment; a page costs
the same queries however many families and films there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.consent import purposes_asked_about
from consent_service.db.queries.people import members_of
from consent_service.db.queries.recordings import people_in
from consent_service.db.queries.stories import Pair, Question, stories_of
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.consent import Finding, state_at
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.services.access import Caller, require, teams_reached
from consent_service.services.assets import AssetView, Scene, view_in
from consent_service.services.context import Context
from consent_service.services.permission import fences_of_each

CUT = (AssetKind.CLIP, AssetKind.STILL)
PAGE = 50


@dataclass(frozen=True)
class FilmPage:
    """Clips and photos, newest first; `following` is the last one's id if there are more."""

    films: tuple[AssetView, ...]
    following: str | None


def films_to_watch(
    ctx: Context, caller: Caller, after: str | None = None, limit: int = PAGE
) -> FilmPage:
    """Return a page of stored clips and photos in the caller's reach, those after `after`.

    Who may watch which, for what, follows from `purposes` and the caller's roles. Raises NotFound
    when `after` is nothing in reach.
    """
    require(ctx, caller, Permission.FILM_LIST)
    with ctx.read() as session:
        query = _in_reach(ctx, caller)
        if after is not None:
            query = _older(session, query, after)
        rows = session.scalars(query.limit(limit + 1)).all()
        shown = rows[:limit]
        following = shown[-1].id if len(rows) > limit else None
        return FilmPage(tuple(_views(ctx, session, shown)), following)


def _in_reach(ctx: Context, caller: Caller) -> Select[Asset]:
    query = (
        select(Asset)
        .where(Asset.kind.in_(CUT), Asset.state == AssetState.STORED)
        .order_by(Asset.created_at.desc(), Asset.id)
    )
    teams = teams_reached(ctx, caller, Permission.FILM_LIST)
    if teams is None:
        return query
    return query.join(Involvement, Involvement.id == Asset.involvement_id).where(
        Involvement.team_id.in_(teams)
    )


def _older(session: Session, query: Select[Asset], after: str) -> Select[Asset]:
    last = session.scalar(query.where(Asset.id == after))
    if last is None:
        raise NotFound("There is no such page of this list.", kind="page")
    same = and_(Asset.created_at == last.created_at, Asset.id > last.id)
    return query.where(or_(Asset.created_at < last.created_at, same))


def _views(ctx: Context, session: Session, rows: Sequence[Asset]) -> list[AssetView]:
    if not rows:
        return []
    involvements = sorted({row.involvement_id for row in rows})
    findings = _findings(ctx, session, involvements)
    fences = fences_of_each(session, involvements)
    people = people_in(session, [row.id for row in rows])
    derived = select(Asset.id, Asset.source_id).where(Asset.involvement_id.in_(involvements))
    sources = {row.id: row.source_id for row in session.execute(derived)}
    return [
        view_in(
            row,
            Scene(findings[row.involvement_id], people, fences[row.involvement_id], sources, {}),
        )
        for row in rows
    ]


def _findings(
    ctx: Context, session: Session, involvements: Sequence[str]
) -> Mapping[str, Mapping[Pair, Finding]]:
    """Return everyone's present consent in each of these involvements."""
    now = ctx.clock.now()
    people = {
        involvement: tuple(person.id for _, person in found)
        for involvement, found in members_of(session, involvements).items()
    }
    spelt = purposes_asked_about(session, {p for found in people.values() for p in found})
    questions = [Question(i, found, tuple(spelt), london_day(now)) for i, found in people.items()]
    return {
        involvement: {pair: state_at(story, now, now) for pair, story in told.items()}
        for involvement, told in stories_of(session, questions).items()
    }
