"""What is known of recordings, clips and stills: state, people, and what each may be used for now.

Rules kept here:
  * access follows from consent, holds and fences at this moment; the column is a convenience;
  * an erased asset shows what its tombstone keeps, and the order that erased it;
  * one reading of an involvement costs the same queries whatever it holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.db.queries.recordings import assets_of, people_in, references_of_erased
from consent_service.db.queries.stories import Pair
from consent_service.domain.assets import AssetKind, AssetState, Depiction, RecordClass
from consent_service.domain.attunement import Principle
from consent_service.domain.consent import ConsentState, Finding
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.services import keys
from consent_service.services.access import Caller, involvement_for, reaches, require
from consent_service.services.context import Context
from consent_service.services.permission import Fences, standing_fences

DECIDED = frozenset({AssetState.RESTRICTED, AssetState.ERASED})
"""States that say more than that a fence stands."""


@dataclass(frozen=True)
class AssetView:
    """An asset as it stands. Times within a film are milliseconds, sizes bytes;
    `fps_milli` is pictures in a thousand seconds.

    `state` is *locked* as soon as a fence stands before it. `purposes` are the uses that everyone
    depicted permits now; whether the reader may state them is their role's affair. `sha256` is of
    what is served, `received_sha256` of the upload. `order` is the reference of what erased it.
    """

    id: str
    kind: AssetKind
    involvement: str
    meeting: str | None
    source: str | None
    state: AssetState
    record_class: RecordClass
    depicted: tuple[str, ...]
    present: tuple[str, ...]
    removal_asked: tuple[str, ...]
    purposes: tuple[str, ...]
    title: str | None
    noticed: str | None
    principles: tuple[Principle, ...]
    filmed_on: date
    media_type: str | None
    size: int | None
    sha256: str | None
    received_sha256: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    fps_milli: int | None
    start_ms: int | None
    end_ms: int | None
    cut: str | None
    created_by: str
    created_at: datetime
    stored_at: datetime | None
    awaiting_since: datetime | None
    rule: str | None
    due_on: date | None
    gone_by: date | None
    erased_at: datetime | None
    order: str | None
    version: int


@dataclass(frozen=True)
class Scene:
    """What the views of one involvement's assets are made from."""

    findings: Mapping[Pair, Finding]
    people: Mapping[str, Sequence[DepictedPerson]]
    fences: Fences
    sources: Mapping[str, str | None]
    orders: Mapping[str, str]


def assets(ctx: Context, caller: Caller, involvement: str) -> list[AssetView]:
    """Return every asset of an involvement, oldest first, erased ones included."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.FILM_LIST, involvement)
        return views_of(ctx, session, involvement)


def asset(ctx: Context, caller: Caller, identifier: str) -> AssetView:
    """Return one asset that the caller may know of; NotFound otherwise."""
    with ctx.read() as session:
        row = asset_for(ctx, session, caller, Permission.FILM_LIST, identifier)
        return view_of(ctx, session, row)


def read_view(ctx: Context, identifier: str) -> AssetView:
    """Return an asset as it stands after a use case that changed it."""
    with ctx.read() as session:
        return view_of(ctx, session, session.get_one(Asset, identifier))


def asset_for(
    ctx: Context, session: Session, caller: Caller, permission: Permission, identifier: str
) -> Asset:
    """Return the row of an asset if the caller may do `permission` to it.

    Raises Refused (`role`) without the verb; NotFound for another team's as for none.
    """
    require(ctx, caller, permission)
    row = session.get(Asset, identifier)
    team = session.get_one(Involvement, row.involvement_id).team_id if row else ""
    if row is None or not reaches(ctx, caller, permission, team):
        raise NotFound(f"There is no film {identifier[:32]} that you can see.", kind="asset")
    return row


def views_of(ctx: Context, session: Session, involvement: str) -> list[AssetView]:
    """Return the views of all assets of an involvement."""
    rows = assets_of(session, involvement)
    scene = _scene(ctx, session, involvement, rows)
    return [view_in(row, scene) for row in rows]


def view_of(ctx: Context, session: Session, row: Asset) -> AssetView:
    """Return the view of one asset."""
    rows = [row]
    while rows[-1].source_id is not None:
        rows.append(session.get_one(Asset, rows[-1].source_id))
    return view_in(row, _scene(ctx, session, row.involvement_id, rows))


def _scene(ctx: Context, session: Session, involvement: str, rows: Sequence[Asset]) -> Scene:
    identifiers = [row.id for row in rows]
    return Scene(
        keys.consent_picture(ctx, session, involvement),
        people_in(session, identifiers),
        standing_fences(session, involvement),
        {row.id: row.source_id for row in rows},
        references_of_erased(session, identifiers),
    )


def view_in(row: Asset, scene: Scene) -> AssetView:
    """Return the view of an asset from what was read of its involvement."""
    people = scene.people.get(row.id, ())
    depicted = _who(people, Depiction.DEPICTED)
    fenced = scene.fences.hold_back(row.id, scene.sources)
    state = AssetState.LOCKED if fenced and row.state not in DECIDED else row.state
    return AssetView(
        id=row.id,
        kind=row.kind,
        involvement=row.involvement_id,
        meeting=row.meeting_id,
        source=row.source_id,
        state=state,
        record_class=row.record_class,
        depicted=depicted,
        present=_who(people, Depiction.PRESENT),
        removal_asked=tuple(
            p.person_id for p in people if p.removal_asked_by and p.removed_by is None
        ),
        purposes=permitted(scene.findings, depicted) if state is AssetState.STORED else (),
        title=row.title,
        noticed=row.noticed,
        principles=tuple(Principle(code) for code in row.principles or ()),
        filmed_on=row.filmed_on,
        media_type=row.media_type,
        size=row.plain_size,
        sha256=row.sha256,
        received_sha256=row.received_sha256,
        duration_ms=row.duration_ms,
        width=row.width,
        height=row.height,
        fps_milli=row.fps_milli,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        cut=row.cut,
        created_by=row.created_by,
        created_at=row.created_at,
        stored_at=row.stored_at,
        awaiting_since=row.awaiting_since,
        rule=row.rule,
        due_on=row.due_on,
        gone_by=row.gone_by,
        erased_at=row.erased_at,
        order=scene.orders.get(row.id),
        version=row.version,
    )


def permitted(findings: Mapping[Pair, Finding], depicted: Sequence[str]) -> tuple[str, ...]:
    """Return the purposes, uses spelt out, that everyone depicted has given."""
    purposes = sorted({purpose for _, purpose in findings})
    return tuple(
        purpose
        for purpose in purposes
        if depicted
        and all(
            (finding := findings.get((person, purpose))) is not None
            and finding.state is ConsentState.GIVEN
            for person in depicted
        )
    )


def _who(people: Sequence[DepictedPerson], depiction: Depiction) -> tuple[str, ...]:
    return tuple(row.person_id for row in people if row.depiction is depiction)
