"""What parents keep and say: photos handed over, feedback, quotes, and disclosures.

Rules kept here: photos are offered one by one and each is accepted or declined; a quote is printed
only with permission for these exact words; what left the service is written down, since it cannot
be called back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.handovers import (
    Feedback,
    Handover,
    HandoverItem,
    Quote,
)
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.people import members
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.purposes import KEEPSAKE
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import (
    erasure_journal,
    permission,
    printed_quotes,
    reconsents,
    retention_dates,
)
from consent_service.services.access import Caller, involvement_for, thing_for
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind

OFFERED, ACCEPTED, DECLINED = "offered", "accepted", "declined"
WAYS = ("print", "file")
LONGEST_WORDS = 4000


@dataclass(frozen=True)
class HandoverView:
    """Photos offered to a person: still id -> offered, accepted or declined."""

    id: str
    involvement: str
    person: str
    offered_on: date
    how: str | None
    items: dict[str, str]
    closed_at: datetime | None


@dataclass(frozen=True)
class PermitQuote:
    """Leave to print exact words, for an audience, until a day."""

    involvement: str
    person: str
    words: str
    audience: str
    until_on: date
    feedback: str | None = None


def offer(
    ctx: Context, caller: Caller, involvement: str, person: str, stills: tuple[str, ...]
) -> HandoverView:
    """Offer photos to a person; each must be a still that `keepsake` permits for everyone in it.

    Raises Refused `reconsent_needed` while somebody in it has to be asked again (rule 10).
    """
    with ctx.begin() as uow:
        lock_for(ctx, uow, caller, Permission.HANDOVER_WRITE, involvement)
        _require_member(uow, involvement, person)
        if not stills:
            raise InvalidInput("Choose a photo.", {"stills": "Choose at least one photo."})
        for still in stills:
            _require_offerable(ctx, uow, involvement, still)
            depicted = permission.depicted_in(uow.session, still)
            reconsents.require_current(uow.session, involvement, depicted, KEEPSAKE, uow.at)
        row = Handover(
            id=new_id(),
            involvement_id=involvement,
            person_id=person,
            offered_on=london_day(uow.at),
            recorded_by=caller.id,
            recorded_at=uow.at,
        )
        uow.session.add(row)
        uow.session.flush()
        uow.session.add_all(
            HandoverItem(handover_id=row.id, still_id=still, outcome=OFFERED)
            for still in dict.fromkeys(stills)
        )
        uow.record(
            AuditEvent(
                EventKind.HANDOVER_OFFERED,
                caller.actor,
                row.id,
                involvement,
                {"stills": len(stills)},
            )
        )
        uow.session.flush()
        retention_dates.recompute(ctx, uow, involvement)
        return _handover_view(uow.session, row)


def decide(
    ctx: Context, caller: Caller, handover: str, accepted: tuple[str, ...], how: str
) -> HandoverView:
    """Close a handover: the photos named were taken (as print or file), the others declined."""
    with ctx.begin() as uow:
        row = _handover_for(ctx, uow.session, caller, handover)
        uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        if row.closed_at is not None:
            raise Conflict("This handover is closed already.", code="already_closed")
        items = {i.still_id: i for i in _items(uow.session, row.id)}
        faults = {}
        if not set(accepted) <= set(items):
            faults["accepted"] = "Only photos that were offered can be accepted."
        if how not in WAYS:
            faults["how"] = "Say whether they were given as print or file."
        if faults:
            raise InvalidInput("This handover cannot be closed like this.", faults)
        for still in accepted:
            _require_offerable(ctx, uow, row.involvement_id, still)
        _close(uow, caller, row, items, accepted, how)
        retention_dates.recompute(ctx, uow, row.involvement_id)
        return _handover_view(uow.session, row)


def handover(ctx: Context, caller: Caller, identifier: str) -> HandoverView:
    """Return one handover that the caller may see; by link a closed one of their own."""
    with ctx.read() as session:
        if caller.own is None:
            return _handover_view(session, _handover_for(ctx, session, caller, identifier))
        row = session.get(Handover, identifier)
        if row is not None and row.closed_at is None:
            row = None
        return _handover_view(
            session, thing_for(ctx, caller, Permission.CONSENT_READ, row, "handover")
        )


def handovers(ctx: Context, caller: Caller, involvement: str) -> list[HandoverView]:
    """Return the handovers of an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.HANDOVER_WRITE, involvement)
        rows = session.scalars(
            select(Handover)
            .where(Handover.involvement_id == involvement)
            .order_by(Handover.recorded_at)
        ).all()
        return _handover_views(session, rows)


def record_feedback(ctx: Context, caller: Caller, involvement: str, person: str, words: str) -> str:
    """Write down what a parent said; returns its id."""
    with ctx.begin() as uow:
        lock_for(ctx, uow, caller, Permission.FEEDBACK_WRITE, involvement)
        _require_member(uow, involvement, person)
        row = Feedback(
            id=new_id(),
            involvement_id=involvement,
            person_id=person,
            words=written_words("words", words),
            given_on=london_day(uow.at),
            recorded_by=caller.id,
            recorded_at=uow.at,
        )
        uow.session.add(row)
        uow.record(AuditEvent(EventKind.FEEDBACK_RECORDED, caller.actor, row.id, involvement))
        return row.id


def permit_quote(ctx: Context, caller: Caller, request: PermitQuote) -> str:
    """Record permission to print exact words; returns its id."""
    with ctx.begin() as uow:
        lock_for(ctx, uow, caller, Permission.QUOTE_WRITE, request.involvement)
        _require_member(uow, request.involvement, request.person)
        if request.until_on <= london_day(uow.at):
            raise InvalidInput(
                "The permission must end later.", {"until_on": "Enter a day in the future."}
            )
        _require_said_by(uow, request)
        row = Quote(
            id=new_id(),
            feedback_id=request.feedback,
            involvement_id=request.involvement,
            person_id=request.person,
            words=written_words("words", request.words),
            audience=written_words("audience", request.audience),
            until_on=request.until_on,
            permitted_at=uow.at,
        )
        uow.session.add(row)
        uow.session.flush()
        printed_quotes.stand_on(uow, row)
        uow.record(
            AuditEvent(
                EventKind.QUOTE_PERMITTED,
                caller.actor,
                row.id,
                request.involvement,
                {"until": request.until_on.isoformat()},
            )
        )
        return row.id


def withdraw_quote(ctx: Context, caller: Caller, quote: str) -> int:
    """End the permission for a quote; leaflets that print it are flagged for re-issue (rule 18).

    Returns how many versions were flagged.
    """
    with ctx.begin() as uow:
        found = uow.session.get(Quote, quote)
        row = thing_for(ctx, caller, Permission.QUOTE_WRITE, found, "quote")
        lock_for(ctx, uow, caller, Permission.QUOTE_WRITE, row.involvement_id)
        uow.session.refresh(row)
        if row.withdrawn_at is not None:
            raise Conflict("This permission has ended already.", code="already_withdrawn")
        row.withdrawn_at = uow.at
        # Or a database from before would have their words printed again.
        body = {"order": None, "involvement": row.involvement_id, "quote": {"id": quote}}
        erasure_journal.owe(uow, LineKind.CONSENT_ENDED, body)
        uow.after_commit(partial(erasure_journal.acknowledge, ctx))
        uow.record(AuditEvent(EventKind.QUOTE_WITHDRAWN, caller.actor, row.id, row.involvement_id))
        return printed_quotes.flag(uow, caller.actor, [quote])


def lock_for(
    ctx: Context, uow: UnitOfWork, caller: Caller, needed: Permission, involvement: str
) -> None:
    involvement_for(ctx, uow.session, caller, needed, involvement)
    uow.lock_involvement(involvement).last_entry_at = uow.at


def _require_member(uow: UnitOfWork, involvement: str, person: str) -> None:
    if person not in {p.id for _, p in members(uow.session, involvement)}:
        raise NotFound("This person does not belong to the involvement.", kind="person")


def _require_said_by(uow: UnitOfWork, request: PermitQuote) -> None:
    """Raise NotFound unless the feedback that is quoted is this person's, in this involvement."""
    if request.feedback is None:
        return
    said = uow.session.get(Feedback, request.feedback)
    if said is None or (said.involvement_id, said.person_id) != (
        request.involvement,
        request.person,
    ):
        raise NotFound("This person gave no such feedback in this involvement.", kind="feedback")


def _require_offerable(ctx: Context, uow: UnitOfWork, involvement: str, still: str) -> None:
    row = uow.session.get(Asset, still)
    if row is None or row.involvement_id != involvement or row.kind is not AssetKind.STILL:
        raise NotFound("There is no such photo in this involvement.", kind="still")
    if row.state is not AssetState.STORED:
        raise Conflict("This photo is not there to be given.", code="not_ready", asset=still)
    permission.require_permitted(ctx, uow.session, row, KEEPSAKE, uow.at, None)


def _close(
    uow: UnitOfWork,
    caller: Caller,
    row: Handover,
    items: dict[str, HandoverItem],
    accepted: tuple[str, ...],
    how: str,
) -> None:
    for still, item in items.items():
        item.outcome = ACCEPTED if still in accepted else DECLINED
        item.decided_at = uow.at
    row.closed_at = uow.at
    row.how = how if accepted else None
    declined = sorted(set(items) - set(accepted))
    for kind, stills in (
        (EventKind.HANDOVER_ACCEPTED, sorted(accepted)),
        (EventKind.HANDOVER_DECLINED, declined),
    ):
        if stills:
            uow.record(
                AuditEvent(kind, caller.actor, row.id, row.involvement_id, {"stills": stills})
            )
    uow.session.flush()


def _handover_for(ctx: Context, session: Session, caller: Caller, identifier: str) -> Handover:
    row = session.get(Handover, identifier)
    return thing_for(ctx, caller, Permission.HANDOVER_WRITE, row, "handover")


def _items(session: Session, handover_id: str) -> list[HandoverItem]:
    return list(
        session.scalars(
            select(HandoverItem)
            .where(HandoverItem.handover_id == handover_id)
            .order_by(HandoverItem.still_id)
        )
    )


def _handover_view(session: Session, row: Handover) -> HandoverView:
    return _handover_views(session, [row])[0]


def _handover_views(session: Session, rows: Sequence[Handover]) -> list[HandoverView]:
    items: dict[str, dict[str, str]] = {row.id: {} for row in rows}
    for item in session.scalars(
        select(HandoverItem)
        .where(HandoverItem.handover_id.in_(items))
        .order_by(HandoverItem.still_id)
    ):
        items[item.handover_id][item.still_id] = item.outcome
    return [
        HandoverView(
            row.id,
            row.involvement_id,
            row.person_id,
            row.offered_on,
            row.how,
            items[row.id],
            row.closed_at,
        )
        for row in rows
    ]


def written_words(field: str, text: str) -> str:
    if not text.strip() or len(text) > LONGEST_WORDS:
        sentence = f"Write 1 to {LONGEST_WORDS} characters."
        raise InvalidInput(sentence, {field: sentence})
    return text.strip()
