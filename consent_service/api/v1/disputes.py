"""Disputes between those who may decide for a child, settled by the IG officer."""

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.shapes import Request, Words
from consent_service.domain.roles import Permission as P
from consent_service.services import disputes as use

room = Room("disputes")


class Resolution(Request):
    """Either way, with the reason: `give` true lets the yes stand, false the no."""

    give: bool
    reason: Words


@room.post("/disputes/{id}/resolution", P.DISPUTE_RESOLVE, body=Resolution, status=204)
def resolve_dispute(ask: Ask, id: str, body: Resolution) -> Answer:
    """Settle a dispute either way."""
    use.resolve(ask.ctx, ask.caller, id, give=body.give, reason=body.reason)
    return Answer()
