"""May this asset be used for this purpose, and if not, why not."""

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.shapes import Id, Instant, Reply, Request, StatedPurpose
from consent_service.domain.consent import ConsentState
from consent_service.domain.roles import Permission as P
from consent_service.services import permission_questions as use

room = Room("permissions")


class Question(Request):
    """Which asset, for which purpose, when (now if left out)."""

    asset: Id
    purpose: StatedPurpose
    at: Instant | None = None


class ReasonReply(Reply):
    """One thing that stands in the way, by code."""

    code: str
    person: Id | None
    purpose: str | None
    state: ConsentState | None
    order: str | None


class PermissionReply(Reply):
    """Whether it is permitted; every reason where it is not."""

    permitted: bool
    reasons: tuple[ReasonReply, ...]


@room.post("/permissions/check", P.FILM_LIST, PermissionReply, body=Question, once=False)
def check_permission(ask: Ask, body: Question) -> Answer:
    """Tell whether the caller may use an asset for a purpose."""
    verdict = use.may_use(ask.ctx, ask.caller, body.asset, body.purpose, body.at)
    return Answer(PermissionReply.model_validate(verdict))
