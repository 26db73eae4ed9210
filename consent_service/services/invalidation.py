"""Finding that an act of consent was never valid: the wrong person answered, or without authority.

Rules kept here:
  * nothing of such an act ever counted: it is void from the moment it was made, while what was
    known before stays readable as it was known (rule 1);
  * keys are sealed, never destroyed, and what no other permitted use sustains is kept apart until
    the IG officer decides about each thing (rule 4);
  * the reason in words stays in the row; log and journal hold its code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentAct, ConsentDecision, ConsentEnding
from consent_service.db.models.recordings import Asset
from consent_service.db.queries import retention as stored
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.db.queries.recordings import received_since
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState, require_move
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.consent import EndingKind
from consent_service.domain.consent_ends import InvalidBecause
from consent_service.domain.purposes import CARE
from consent_service.domain.retention import UPLOADS
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import (
    depicted_keys,
    dispositions,
    disputes,
    erasure_journal,
    keys,
    permission,
    retention_dates,
)
from consent_service.services.access import Caller, involvement_for, require, require_fresh
from consent_service.services.at_once import at_once
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.retention_plan import ASSET, Fate, PlanLine, is_open
from consent_service.vault.journal import LineKind

WATCHABLE = (AssetState.STORED, AssetState.AWAITING_CONSENT)
REVIEWED = (*WATCHABLE, AssetState.RECEIVED)
"""What a person decides about. Film still coming in is taken no further, and goes after a day."""
LONGEST_REASON = 4000
WHY = "consent_invalid"


@dataclass(frozen=True)
class InvalidationView:
    """An act found invalid: whom and what it was about, and what waits for a decision.

    `ended` are (person, purpose). `without_key` are those of them to whom an earlier yes stands
    again although its key is destroyed: that film stays shut until they are asked again.
    """

    act: str
    involvement: str
    because: InvalidBecause
    at: datetime
    ended: tuple[tuple[str, str], ...]
    kept_apart: tuple[str, ...]
    without_key: tuple[tuple[str, str], ...] = ()


def invalidate(
    ctx: Context, caller: Caller, act: str, because: InvalidBecause, reason: str
) -> InvalidationView:
    """Mark an act of consent as never valid; its keys are sealed when this returns.

    Raises Refused `sign_in_again`, NotFound, Conflict `already_invalid`, InvalidInput without a
    reason.
    """
    require_fresh(caller)
    said = reason_said(reason)
    with ctx.begin() as uow:
        row = uow.session.get(ConsentAct, act)
        if row is None:
            raise NotFound("There is no such act of consent that you can see.", kind="consent")
        involvement_for(ctx, uow.session, caller, Permission.CONSENT_INVALIDATE, row.involvement_id)
        reached = disputes.lock_reached(uow, row.involvement_id)
        involvement = uow.lock_involvement(row.involvement_id)
        if is_void(uow, act):
            raise Conflict("This consent is marked as not valid already.", code="already_invalid")
        ended = void(uow, row, caller.id, said)
        involvement.consent_epoch += 1
        involvement.last_entry_at = uow.at
        _record(uow, caller.actor, row, because)
        body = {"id": act, "by": caller.id, "because": because.value}
        line = {"order": None, "involvement": involvement.id, "invalidated": body}
        erasure_journal.owe(uow, LineKind.CONSENT_ENDED, line)
        disputes.open_where_parents_disagree(ctx, uow, reached)
        people = tuple(sorted({person for person, _ in ended}))
        apart = put_to_review(ctx, uow, caller, involvement.id, people)
        notify(uow, WHY, user=involvement.guider_id, subject=act)
        view = InvalidationView(act, involvement.id, because, uow.at, ended, apart)
    erasure_journal.acknowledge(ctx)
    at_once(ctx, keys.settle, view.involvement)
    at_once(ctx, depicted_keys.settle_awaiting, view.involvement)
    lost = keys.given_without_key(ctx, view.involvement)
    return replace(view, without_key=tuple(pair for pair in view.ended if pair in lost))


def review_received(ctx: Context, caller: Caller) -> int:
    """Queue, again when it is time, what came in whole and stands on nothing but a void act.

    A person decides about it too: it can neither be stored nor go by itself. Returns how many.
    """
    require(ctx, caller, Permission.RETENTION_RUN)
    with ctx.read() as session:
        waiting = [
            (row.id, row.involvement_id)
            for row in received_since(session, ctx.clock.now())
            if permission.is_void(ctx, session, row, ctx.clock.now())
        ]
    return sum(_review_again(ctx, caller, *place) for place in waiting)


def _review_again(ctx: Context, caller: Caller, identifier: str, involvement: str) -> bool:
    with ctx.begin() as uow:
        uow.lock_involvement(involvement)
        asset = uow.session.get_one(Asset, identifier)
        if asset.state is not AssetState.RECEIVED or permission.is_fenced(uow.session, asset):
            return False
        newest = stored.newest_dispositions(uow.session, [identifier]).get(identifier)
        if newest is not None and (
            is_open(newest)
            or newest.look_again_on is None
            or newest.look_again_on > london_day(uow.at)
        ):
            return False
        dispositions.queue(ctx, uow, caller, _line(asset, uow.at))
        return True


def reason_said(reason: str) -> str:
    """Return a reason without blanks around it; raises InvalidInput (`reason`) when unusable."""
    said = reason.strip()
    if not said or len(said) > LONGEST_REASON:
        sentence = f"Give the reason, in up to {LONGEST_REASON} characters."
        raise InvalidInput("Say why.", {"reason": sentence})
    return said


def is_void(uow: UnitOfWork, act: str) -> bool:
    """Tell whether an act was marked as never valid."""
    ending = select(ConsentEnding.id).where(
        ConsentEnding.ref == act, ConsentEnding.kind == EndingKind.INVALIDATED
    )
    return uow.session.scalar(ending.limit(1)) is not None


def void(
    uow: UnitOfWork, act: ConsentAct, by: str | None, reason: str
) -> tuple[tuple[str, str], ...]:
    """Append the endings that void an act, from its own moment; returns (person, purpose) pairs.

    An act without a decision on film (one that found capacity lacking) is voided all the same.
    """
    rows = uow.session.execute(
        select(ConsentDecision.person_id, ConsentDecision.purpose)
        .where(ConsentDecision.act_id == act.id, ConsentDecision.purpose.is_not(None))
        .distinct()
    )
    pairs = sorted({(person, purpose or "") for person, purpose in rows})
    uow.session.add_all(
        ConsentEnding(
            id=new_id(),
            kind=EndingKind.INVALIDATED,
            involvement_id=act.involvement_id,
            person_id=person,
            purpose=purpose,
            by_user_id=by,
            ref=act.id,
            reason=reason,
            event_at=act.event_at,
            recorded_at=uow.at,
        )
        for person, purpose in pairs or [(act.person_id, CARE)]
    )
    uow.session.flush()
    return tuple(pairs)


def put_to_review(
    ctx: Context, uow: UnitOfWork, caller: Caller, involvement: str, people: tuple[str, ...]
) -> tuple[str, ...]:
    """Keep apart what nothing sustains any more, and queue it for the IG officer; returns ids."""
    if not people:
        return ()
    retention_dates.recompute(ctx, uow, involvement)
    ordered = stored.already_ordered(uow.session, involvement)
    assets = {
        asset.id: asset
        for asset in assets_in_scope(uow.session, involvement, OrderScope(persons=people))
        if asset.state in REVIEWED and asset.id not in ordered
    }
    found = holdings(uow.session, ctx.policies.purposes, list(assets.values()), uow.at)
    apart = [assets[one.asset] for one in found if not one.sustained_by]
    newest = stored.newest_dispositions(uow.session, [asset.id for asset in apart])
    for asset in apart:
        if asset.state in WATCHABLE:
            _keep_apart(uow, caller.actor, asset)
        before = newest.get(asset.id)
        if before is None or not is_open(before):
            dispositions.queue(ctx, uow, caller, _line(asset, uow.at))
    uow.session.flush()
    return tuple(sorted(asset.id for asset in apart))


def _keep_apart(uow: UnitOfWork, actor: Actor, asset: Asset) -> None:
    asset.state = require_move(asset.id, asset.state, AssetState.RESTRICTED)
    uow.record(
        AuditEvent(
            EventKind.ASSET_RESTRICTED, actor, asset.id, asset.involvement_id, {"reason": WHY}
        )
    )


def _line(asset: Asset, at: datetime) -> PlanLine:
    return PlanLine(
        ASSET,
        asset.id,
        asset.involvement_id,
        asset.rule or UPLOADS,
        london_day(at),
        asset.gone_by,
        Fate.REVIEW,
        WHY,
    )


def _record(uow: UnitOfWork, actor: Actor, act: ConsentAct, because: InvalidBecause) -> None:
    details: dict[str, Any] = {"reason": because.value, "person": act.person_id}
    uow.record(
        AuditEvent(EventKind.CONSENT_INVALIDATED, actor, act.id, act.involvement_id, details)
    )


def void_again(ctx: Context, uow: UnitOfWork, actor: Actor, line: Mapping[str, Any]) -> None:
    """Void, from its journal line, an act that a restored database believes in."""
    row = uow.session.get_one(ConsentAct, line["id"])
    ended = void(uow, row, line["by"], "Found again in the journal after a restore.")
    _record(uow, actor, row, InvalidBecause(line["because"]))
    people = tuple(sorted({person for person, _ in ended}))
    replayer = Caller(actor, None, frozenset())
    put_to_review(ctx, uow, replayer, row.involvement_id, people)
