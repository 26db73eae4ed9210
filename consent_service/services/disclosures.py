"""What left the service: film or stills given to others, and taken back.

Rules kept here: refused unless the purpose is permitted on the newest material form; written down,
since it cannot be called back.
"""

from dataclasses import dataclass
from datetime import date

from consent_service.clock import london_day
from consent_service.db.models.handovers import (
    Disclosure,
)
from consent_service.db.models.recordings import Asset
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput
from consent_service.ids import new_id
from consent_service.services import film_keys, permission, reconsents
from consent_service.services.access import Caller, thing_for
from consent_service.services.context import Context
from consent_service.services.handovers import lock_for, written_words


@dataclass(frozen=True)
class RecordDisclosure:
    """Film or stills that left the service: what, to whom, for what, until when."""

    asset: str
    purpose: str
    recipient: str
    disclosed_on: date
    until_on: date | None = None


def record_disclosure(ctx: Context, caller: Caller, request: RecordDisclosure) -> str:
    """Write down that film or stills left the service; refused unless the purpose is permitted."""
    with ctx.begin() as uow:
        asset = uow.session.get(Asset, request.asset)
        asset = thing_for(ctx, caller, Permission.DISCLOSURE_WRITE, asset, "film")
        lock_for(ctx, uow, caller, Permission.DISCLOSURE_WRITE, asset.involvement_id)
        film_keys.require_purpose(ctx, request.purpose)
        _check_days(request, asset, london_day(uow.at))
        permission.require_permitted(ctx, uow.session, asset, request.purpose, uow.at, None)
        depicted = permission.depicted_in(uow.session, asset.id)
        reconsents.require_current(
            uow.session, asset.involvement_id, depicted, request.purpose, uow.at
        )
        row = Disclosure(
            id=new_id(),
            involvement_id=asset.involvement_id,
            asset_id=asset.id,
            purpose=request.purpose,
            recipient=written_words("recipient", request.recipient),
            disclosed_on=request.disclosed_on,
            until_on=request.until_on,
            recorded_by=caller.id,
            recorded_at=uow.at,
        )
        uow.session.add(row)
        uow.record(
            AuditEvent(
                EventKind.DISCLOSURE_RECORDED,
                caller.actor,
                row.id,
                asset.involvement_id,
                {"assets": [asset.id], "purpose": request.purpose},
            )
        )
        return row.id


def take_back_disclosure(ctx: Context, caller: Caller, disclosure: str, on: date) -> None:
    """Write down that what left the service came back, or was destroyed by who had it."""
    with ctx.begin() as uow:
        found = uow.session.get(Disclosure, disclosure)
        row = thing_for(ctx, caller, Permission.DISCLOSURE_WRITE, found, "disclosure")
        lock_for(ctx, uow, caller, Permission.DISCLOSURE_WRITE, row.involvement_id)
        if on < row.disclosed_on or on > london_day(uow.at):
            sentence = "The day lies between the disclosure and today."
            raise InvalidInput(sentence, {"taken_back_on": sentence})
        uow.session.refresh(row)
        if row.taken_back_on is not None:
            raise Conflict("This is written down as back already.", code="already_taken_back")
        row.taken_back_on = on
        uow.record(
            AuditEvent(EventKind.DISCLOSURE_TAKEN_BACK, caller.actor, row.id, row.involvement_id)
        )


def _check_days(request: RecordDisclosure, asset: Asset, today: date) -> None:
    faults = {}
    if not asset.filmed_on <= request.disclosed_on <= today:
        faults["disclosed_on"] = "The day lies between the filming and today."
    if request.until_on is not None and request.until_on < request.disclosed_on:
        faults["until_on"] = "The end cannot be before the day it left."
    if faults:
        raise InvalidInput("This disclosure cannot be recorded like this.", faults)
