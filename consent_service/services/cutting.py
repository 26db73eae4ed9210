"""Clips and stills: chosen from a film while everyone permits `care`, each an object of its own.

Rules kept here:
  * a derived asset has its own key, class, date and end, and never allows more than its source;
  * everyone in the source counts as in what is made of it (narrowing: `depicted`);
  * its title and note belong to it and go with it;
  * none is made while somebody in it has to be asked again on a newer form (rule 10);
  * the source is read no further once watching it would be refused.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from consent_service import media
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.recordings import people_in
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState, Depiction
from consent_service.domain.attunement import Principle, in_order
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput
from consent_service.ids import new_id
from consent_service.services import film_keys, film_objects, permission, reconsents, storing
from consent_service.services.access import Caller
from consent_service.services.assets import AssetView, asset_for, read_view
from consent_service.services.context import Context
from consent_service.services.film_objects import Film, ObjectPlace
from consent_service.services.recordings import facts_of
from consent_service.services.standing_use import StandingUse
from consent_service.vault.container import new_data_key

STILL_TYPE = "image/jpeg"
TITLE_MAX = 200


@dataclass(frozen=True)
class MakeClip:
    """A part of a film worth keeping; times are milliseconds of the source.

    `noticed` is what the guider saw there, `principles` its tags. `exact` encodes anew, so that
    nothing outside the marks is in the clip; otherwise it begins at the picture before the mark
    that can stand alone.
    """

    source: str
    start_ms: int
    end_ms: int
    title: str
    noticed: str | None = None
    exact: bool = False
    principles: tuple[Principle, ...] = ()


@dataclass(frozen=True)
class MakeStill:
    """One picture of a film; `at_ms` is milliseconds of the source, `max_width` pixels."""

    source: str
    at_ms: int
    title: str | None = None
    max_width: int | None = None


@dataclass(frozen=True)
class _Cut:
    """A derived asset that was begun: its place, its object, and how its source is opened."""

    place: storing.Place
    target: ObjectPlace
    data_key: bytes
    ground: film_keys.Ground


def clip(ctx: Context, caller: Caller, request: MakeClip) -> AssetView:
    """Make a clip of a recording; returns it *stored*.

    Raises InvalidInput for times outside the film, Refused `reconsent_needed`, and what watching
    the source for `care` would.
    """
    ground = film_keys.ground_for(ctx, caller, request.source, CARE, Permission.FILM_CUT)
    cut = _begin(ctx, caller, ground, request)
    with storing.or_given_up(ctx, caller, cut.place):
        with (
            _source(ctx, caller, cut) as film,
            film_objects.writing(ctx, cut.target, cut.data_key) as writer,
        ):
            made = media.clip(
                film,
                request.start_ms / 1000,
                request.end_ms / 1000,
                film_objects.output_to(writer),
                request.exact,
            )
        start = round(made.starts_at_s * 1000)
        facts = facts_of(made.probe)
        finished = storing.Finished(
            cut.place,
            film_objects.written(cut.target, writer),
            cut.data_key,
            facts,
            (_made(caller, cut, EventKind.CLIP_MADE),),
            start_ms=start,
            end_ms=start + (facts.duration_ms or 0),
            cut=made.how,
        )
        storing.finish(ctx, finished)
    return read_view(ctx, cut.place.asset)


def still(ctx: Context, caller: Caller, request: MakeStill) -> AssetView:
    """Take a picture out of a recording or clip; returns it *stored*. Errors as `clip`."""
    ground = film_keys.ground_for(ctx, caller, request.source, CARE, Permission.FILM_CUT)
    cut = _begin(ctx, caller, ground, request)
    with storing.or_given_up(ctx, caller, cut.place):
        with _source(ctx, caller, cut) as film:
            jpeg = media.still(film, request.at_ms / 1000, request.max_width)
        with film_objects.writing(ctx, cut.target, cut.data_key, expected_size=len(jpeg)) as writer:
            writer.write(jpeg)
        finished = storing.Finished(
            cut.place,
            film_objects.written(cut.target, writer),
            cut.data_key,
            storing.FilmFacts(STILL_TYPE),
            (_made(caller, cut, EventKind.STILL_MADE),),
            start_ms=request.at_ms,
            end_ms=request.at_ms,
        )
        storing.finish(ctx, finished)
    return read_view(ctx, cut.place.asset)


def _begin(
    ctx: Context, caller: Caller, ground: film_keys.Ground, request: MakeClip | MakeStill
) -> _Cut:
    """Write down the asset that is to be, with everyone of its source, and make its key."""
    with ctx.begin() as uow:
        source = asset_for(ctx, uow.session, caller, Permission.FILM_CUT, request.source)
        uow.lock_involvement(source.involvement_id)
        uow.session.refresh(source)
        permission.require_permitted(ctx, uow.session, source, CARE, uow.at, caller)
        depicted = permission.depicted_in(uow.session, source.id)
        reconsents.require_current(uow.session, source.involvement_id, depicted, CARE, uow.at)
        _require_sound(source, request)
        row = _derived(uow, caller, source, request)
        uow.session.add(row)
        uow.session.flush()
        people = people_in(uow.session, [source.id]).get(source.id, [])
        seen = [(p.person_id, p.depiction) for p in people if p.depiction is not Depiction.NOT_SEEN]
        storing.add_people(uow, caller, row.id, seen)
        uow.record(
            AuditEvent(
                EventKind.RECORDING_RESERVED,
                caller.actor,
                row.id,
                row.involvement_id,
                {"kind": row.kind.value, "source": source.id, "people": len(seen)},
            )
        )
        place = storing.place_of(row)
        target = film_objects.film_place(row.id, row.kind, film_objects.FIRST_GENERATION)
    storing.ensure_asset_key(ctx, place)
    return _Cut(place, target, new_data_key(), ground)


def _require_sound(source: Asset, request: MakeClip | MakeStill) -> None:
    if source.duration_ms is None:
        raise Conflict("A photo cannot be cut. Choose a film.", code="not_a_film", asset=source.id)
    if isinstance(request, MakeStill):
        faults = _still_faults(source.duration_ms, request)
    elif source.kind is AssetKind.CLIP:
        raise Conflict(
            "A clip is cut from a recording. Choose the recording.", code="not_a_recording"
        )
    else:
        faults = _clip_faults(source.duration_ms, request)
    if faults:
        raise InvalidInput("This cannot be cut like this. Put these right.", faults)


def _clip_faults(duration_ms: int, request: MakeClip) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not 0 <= request.start_ms < duration_ms:
        faults["start_ms"] = "The clip begins outside the film."
    if request.end_ms > duration_ms:
        faults["end_ms"] = "The clip ends after the film."
    elif request.end_ms <= request.start_ms:
        faults["end_ms"] = "The clip ends before it begins."
    if not request.title.strip():
        faults["title"] = "Give the clip a title."
    elif len(request.title) > TITLE_MAX:
        faults["title"] = f"A title has at most {TITLE_MAX} characters."
    return faults


def _still_faults(duration_ms: int, request: MakeStill) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not 0 <= request.at_ms < duration_ms:
        faults["at_ms"] = "This moment is outside the film."
    if request.max_width is not None and request.max_width < 1:
        faults["max_width"] = "A photo is at least one pixel wide."
    if len(request.title or "") > TITLE_MAX:
        faults["title"] = f"A title has at most {TITLE_MAX} characters."
    return faults


def _derived(
    uow: UnitOfWork, caller: Caller, source: Asset, request: MakeClip | MakeStill
) -> Asset:
    made = isinstance(request, MakeClip)
    row = Asset(
        id=new_id(),
        kind=AssetKind.CLIP if made else AssetKind.STILL,
        involvement_id=source.involvement_id,
        meeting_id=source.meeting_id,
        source_id=source.id,
        state=AssetState.RECEIVING,
        record_class=source.record_class,
        shard=source.shard,
        asset_key_id=new_id(),
        title=(request.title or "").strip() or None,
        noticed=(request.noticed or "").strip() or None if isinstance(request, MakeClip) else None,
        principles=list(in_order(request.principles)) if isinstance(request, MakeClip) else None,
        filmed_on=source.filmed_on,
        created_by=caller.id,
        created_at=uow.at,
    )
    row.blob = film_objects.object_name(row.id, film_objects.FIRST_GENERATION)
    return row


def _source(ctx: Context, caller: Caller, cut: _Cut) -> AbstractContextManager[Film]:
    """Open the film that is cut; reading it raises once watching it would be refused."""
    facts = cut.ground.facts

    def ask(session: Session, at: datetime) -> None:
        row = session.get_one(Asset, facts.asset)
        permission.require_permitted(ctx, session, row, CARE, at, caller)

    by = (caller, Permission.FILM_CUT)
    look = StandingUse(ctx, facts.involvement, cut.ground.epoch, ask, by)
    place = film_objects.film_place(facts.asset, facts.kind, facts.generation)
    return film_objects.reading(ctx, place, film_keys.data_key_of(ctx, cut.ground), look)


def _made(caller: Caller, cut: _Cut, kind: EventKind) -> AuditEvent:
    return AuditEvent(
        kind,
        caller.actor,
        cut.place.asset,
        cut.place.involvement,
        {"source": cut.ground.facts.asset},
    )
