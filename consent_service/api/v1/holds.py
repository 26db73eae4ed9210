"""Holds stop disposal; two people release one."""

from datetime import datetime
from functools import partial
from typing import Annotated

from pydantic import Field

from consent_service.api.operations import Answer, Ask, Open, Room
from consent_service.api.paging import part
from consent_service.api.shapes import Day, Id, Page, PageQuery, Reply, Request, Words
from consent_service.domain.holds import HoldKind
from consent_service.domain.roles import Permission as P
from consent_service.services import holds as use

room = Room("holds")


class NewHold(Request):
    """What must not be destroyed now, and why; without `asset`, all of the involvement."""

    involvement: Id
    kind: Annotated[HoldKind, Field(strict=False)]
    reason: Words
    asset: Id | None = None
    review_on: Day | None = None


class Release(Request):
    """Why the hold may go."""

    reason: Words


class HoldsQuery(PageQuery):
    """Which holds: `released` lists those as well that do not stand any more."""

    released: Annotated[bool, Field(strict=False)] = False


class HoldReply(Reply):
    """A hold; `too_late` names assets that were destroyed before it was placed."""

    id: Id
    kind: HoldKind
    involvement: Id
    asset: Id | None
    reason: str
    placed_by: str
    placed_at: datetime
    release_asked_by: str | None
    released_at: datetime | None
    too_late: tuple[Id, ...]


@room.get("/holds", P.HOLD_READ, Page[HoldReply], query=HoldsQuery)
def list_holds(ask: Ask, query: HoldsQuery) -> Answer:
    """List the holds that stand: those that wait to be confirmed first, then the newest."""
    standing = not query.released
    read = partial(use.page_of_holds, ask.ctx, ask.caller, standing=standing)
    return Answer(part(read, query, HoldReply))


@room.post("/holds", Open.ANY_CALLER, HoldReply, body=NewHold, status=201)
def place_hold(ask: Ask, body: NewHold) -> Answer:
    """Place a hold: `hold.place`, or `hold.place_safeguarding` for a safeguarding one."""
    view = use.place(ask.ctx, ask.caller, use.PlaceHold(**dict(body)))
    return Answer(HoldReply.model_validate(view))


@room.post("/holds/{id}/release", P.HOLD_RELEASE, HoldReply, body=Release)
def ask_release(ask: Ask, id: str, body: Release) -> Answer:
    """Ask for a hold to be released; someone else confirms."""
    return Answer(HoldReply.model_validate(use.ask_release(ask.ctx, ask.caller, id, body.reason)))


@room.post("/holds/{id}/release/confirm", P.HOLD_RELEASE, HoldReply)
def confirm_release(ask: Ask, id: str) -> Answer:
    """Confirm a release that someone else asked for."""
    return Answer(HoldReply.model_validate(use.confirm_release(ask.ctx, ask.caller, id)))
