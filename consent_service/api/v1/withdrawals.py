"""Withdrawing: preview first if wished, then access is over when the answer arrives."""

from datetime import datetime
from typing import Annotated

from flask import Response
from pydantic import Field

from consent_service.api.operations import PREFIX, Answer, Ask, Room
from consent_service.api.papers import PDF, paper
from consent_service.api.shapes import Id, Instant, PurposeCode, Reply, Request
from consent_service.domain.roles import Permission as P
from consent_service.domain.withdrawal import (
    Route,
    Speed,
    WithdrawalRequest,
    WithdrawalScope,
)
from consent_service.services import access, papers
from consent_service.services import withdrawal as use
from consent_service.services.withdrawal_outcome import OrderedView, WithdrawalView

room = Room("withdrawals")

Purposes = Annotated[tuple[PurposeCode, ...], Field(max_length=100)]


class NewWithdrawal(Request):
    """Whose consent ends (`person`), who says so (`by`), what, how fast, and when it was said."""

    involvement: Id
    person: Id
    by: Id
    scope: Annotated[WithdrawalScope, Field(strict=False)]
    speed: Annotated[Speed, Field(strict=False)] = Speed.NOW
    route: Annotated[Route, Field(strict=False)]
    moment: Instant | None = None
    purposes: Purposes = ()
    assets: Annotated[tuple[Id, ...], Field(max_length=10_000)] = ()
    keep_purposes: Purposes = ()


class DryRun(Request):
    """With `dry_run=true` nothing is withdrawn: the answer says what would be."""

    dry_run: bool = False


class Cancellation(Request):
    """Who changes their mind: only the person who withdrew can."""

    by: Id


class LineReply(Reply):
    """What happens to one asset; `ground` says why it is kept."""

    asset: Id
    kind: str
    outcome: str
    ground: str | None


class ElsewhereReply(Reply):
    """What ends in another involvement of this person; nothing is told of one you may not see."""

    involvement: Id | None
    purposes: tuple[str, ...]
    disputed: tuple[str, ...]
    destroyed: tuple[LineReply, ...]
    kept: tuple[LineReply, ...]


class PreviewReply(Reply):
    """What a withdrawal would do; `digest` names exactly this outcome.

    `others` are further involvements that it reaches: stopping everything, or a stop for a child.
    """

    purposes: tuple[str, ...]
    disputed: tuple[str, ...]
    destroyed: tuple[LineReply, ...]
    kept: tuple[LineReply, ...]
    cannot_recall: tuple[str, ...]
    undo_until: datetime | None
    digest: str
    others: tuple[ElsewhereReply, ...]


class WithdrawalReply(Reply):
    """A withdrawal as recorded."""

    id: Id
    involvement: Id
    person: Id
    by: Id
    scope: WithdrawalScope
    purposes: tuple[str, ...]
    speed: Speed
    recorded_at: datetime
    undo_until: datetime | None
    cancelled_at: datetime | None


class OrderedReply(Reply):
    """An erasure order that follows; its reference stands on the receipt.

    `involvement` is null for one that you may not see; the person's right reaches further.
    """

    id: Id
    reference: str | None
    involvement: Id | None
    href: str


class WithdrawnReply(Reply):
    """A withdrawal, its erasure order (null where parents disagree), and its receipt's address.

    `erasure_orders` are all that follow from it: one for each involvement that it reached.
    """

    withdrawal: WithdrawalReply
    erasure_order: OrderedReply | None
    erasure_orders: tuple[OrderedReply, ...]
    receipt: str


def _ordered(order: OrderedView) -> OrderedReply:
    return OrderedReply(
        id=order.id,
        reference=order.reference,
        involvement=order.involvement,
        href=f"{PREFIX}/erasure-orders/{order.id}",
    )


def _withdrawn(view: WithdrawalView) -> WithdrawnReply:
    orders = {order.id: _ordered(order) for order in view.erasure_orders}
    return WithdrawnReply(
        withdrawal=WithdrawalReply.model_validate(view),
        erasure_order=orders.get(view.erasure_order or ""),
        erasure_orders=tuple(orders.values()),
        receipt=f"{PREFIX}/withdrawals/{view.id}/receipt.pdf",
    )


@room.post(
    "/withdrawals",
    P.WITHDRAWAL_PREVIEW,
    WithdrawnReply,
    body=NewWithdrawal,
    query=DryRun,
    status=201,
    also={200: PreviewReply},
)
def withdraw(ask: Ask, body: NewWithdrawal, query: DryRun) -> Answer:
    """Withdraw, or with `dry_run=true` only say what a withdrawal would do."""
    fields = dict(body) | {"moment": body.moment or ask.ctx.clock.now()}
    wanted = WithdrawalRequest(**fields)
    if query.dry_run:
        preview = use.preview(ask.ctx, ask.caller, wanted)
        return Answer(PreviewReply.model_validate(preview), status=200)
    access.require(ask.ctx, ask.caller, P.WITHDRAWAL_RECORD)
    view = use.withdraw(ask.ctx, ask.caller, wanted)
    return Answer(_withdrawn(view), f"/withdrawals/{view.id}")


@room.get("/withdrawals/{id}", P.WITHDRAWAL_PREVIEW, WithdrawnReply)
def read_withdrawal(ask: Ask, id: str) -> Answer:
    """Read a withdrawal and the erasure order that follows from it."""
    return Answer(_withdrawn(use.withdrawal(ask.ctx, ask.caller, id)))


@room.get("/withdrawals/{id}/receipt.pdf", P.WITHDRAWAL_PREVIEW, media=(PDF,))
def read_withdrawal_receipt(ask: Ask, id: str) -> Response:
    """Read the receipt of a withdrawal as PDF/A."""
    return paper(papers.withdrawal_receipt(ask.ctx, ask.caller, id), f"receipt-{id}")


@room.post("/withdrawals/{id}/cancel", P.WITHDRAWAL_CANCEL, WithdrawnReply, body=Cancellation)
def cancel_withdrawal(ask: Ask, id: str, body: Cancellation) -> Answer:
    """Cancel a withdrawal within its seven days, by the person who withdrew."""
    return Answer(_withdrawn(use.cancel(ask.ctx, ask.caller, id, body.by)))
