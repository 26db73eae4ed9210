"""Whether a withdrawal can be recorded: by whom, from when, of what; every fault by field.

Rules kept here: whoever was filmed, or may decide for the child that was, can withdraw (6); what is
kept by name is kept with every use that was named for it; whoever agreed again after the moment
given is asked for the moment at which they said stop since: nothing is receipted that did not end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement
from consent_service.db.queries.consent import Yes
from consent_service.db.queries.erasure import OrderScope, assets_in_scope
from consent_service.db.queries.people import Belonging, responsibilities_for
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.people import Responsibility, holder_for
from consent_service.domain.purposes import CARE, USE_NAME, NamedUse, split_use
from consent_service.domain.withdrawal import WithdrawalRequest, WithdrawalScope
from consent_service.services.context import Context

CLOCK_SLACK = timedelta(minutes=5)
AGREED_SINCE = (
    "They agreed again after this moment. Ask them, and give the moment since then at which they"
    " said stop."
)


@dataclass(frozen=True)
class Part:
    """What a withdrawal ends in one involvement, and whether some of it was agreed to since."""

    involvement: str
    purposes: tuple[str, ...]
    agreed_since: bool = False


@dataclass(frozen=True)
class Standing:
    """Whether others decide for this person, and by which responsibility `by` does so today."""

    child: bool
    held: Responsibility | None = None

    @property
    def overrules(self) -> bool:
        """Whether their word counts against that of others who decide."""
        return self.held is not None and self.held.may_overrule


def standing_of(uow: UnitOfWork, request: WithdrawalRequest, belongs: Belonging) -> Standing:
    """Return on what ground `by` speaks for `person`."""
    if request.person not in belongs.children:
        return Standing(child=False)
    held = responsibilities_for(uow.session, [request.person])
    return Standing(
        child=True, held=holder_for(held, request.person, request.by, london_day(uow.at))
    )


def faults_of(
    ctx: Context,
    uow: UnitOfWork,
    row: Involvement,
    request: WithdrawalRequest,
    ends: tuple[Standing, Sequence[Part]],
) -> dict[str, str]:
    """Return every fault of a request, by field; `ends` says who ends what, and where."""
    standing, parts = ends
    faults: dict[str, str] = {}
    if request.moment > uow.at + CLOCK_SLACK:
        faults["moment"] = "The withdrawal cannot be in the future."
    if london_day(request.moment) < row.started_on:
        faults["moment"] = "The withdrawal cannot be before the involvement started."
    elif any(part.agreed_since for part in parts):
        faults["moment"] = AGREED_SINCE
    if not _may_withdraw(standing, request):
        faults["by"] = "Only this person, or someone who may decide for the child, can withdraw."
    if not all(_exists(ctx, p) for p in (*request.purposes, *request.keep_purposes)):
        faults["purposes"] = "One of these purposes does not exist."
    if request.scope is WithdrawalScope.PURPOSES and not request.purposes:
        faults["purposes"] = "Name at least one purpose."
    if CARE in request.keep_purposes:
        faults["keep_purposes"] = "Care cannot be kept by a withdrawal of care."
    if any(is_kept(purpose, request) for purpose in request.purposes):
        faults["keep_purposes"] = "A purpose is either withdrawn or kept."
    if request.scope is WithdrawalScope.ASSETS:
        faults |= _asset_faults(uow, row, request)
    return faults


def _exists(ctx: Context, purpose: str) -> bool:
    """Tell whether a purpose can be named; a use that is no code could never be journalled."""
    code, use = split_use(purpose)
    known = ctx.policies.purposes.get(code)
    if known is None or use is None:
        return known is not None
    return known.named_use is not NamedUse.NONE and USE_NAME.fullmatch(use) is not None


def _asset_faults(uow: UnitOfWork, row: Involvement, request: WithdrawalRequest) -> dict[str, str]:
    if not request.assets:
        return {"assets": "Name at least one film, clip or still."}
    scope = OrderScope(persons=(request.person,), purposes=(CARE,))
    shown = {asset.id for asset in assets_in_scope(uow.session, row.id, scope)}
    if not set(request.assets) <= shown:
        return {"assets": "Each of these must show this person and be kept in this involvement."}
    return {}


def agreed_since(
    request: WithdrawalRequest, at: datetime, purposes: Sequence[str], yeses: Sequence[Yes]
) -> bool:
    """Tell whether whoever says stop said yes to any of it after that, which then still stands."""
    moment = min(request.moment, at)
    since = [yes for yes in yeses if yes.by == request.by and yes.event_at > moment]
    said = {purpose for yes in since for purpose in (yes.purpose, *yes.spelt)}
    return bool(said & set(purposes))


def _may_withdraw(standing: Standing, request: WithdrawalRequest) -> bool:
    """Tell whether `by` may end this person's consent: nobody but a holder speaks for a child."""
    if request.by != request.person:
        return standing.held is not None
    return not standing.child


def is_kept(purpose: str, request: WithdrawalRequest) -> bool:
    """Tell whether a purpose is kept: by its full name, or with every use of it."""
    return bool({purpose, split_use(purpose)[0]} & set(request.keep_purposes))
