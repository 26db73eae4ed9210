"""The permission rule (rule 3), asked at every use of film.

`permitted` holds only if consent is *given* for everyone depicted, the caller may state the
purpose, and nothing stands in the way: an erasure, a restriction, a hold's seal or a fence.
Unanswered is no. The reasons name person ids and codes, never names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureOrder, Fence
from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.db.queries.columns import Columns, rows_of
from consent_service.db.queries.consent import states_now
from consent_service.db.queries.recordings import references_of_erased
from consent_service.domain.assets import ARRIVING, AssetState, Depiction
from consent_service.domain.consent import ConsentState, Finding
from consent_service.domain.erasure import OrderState
from consent_service.domain.missing import missing_for
from consent_service.domain.purposes import CARE, split_use
from consent_service.errors import Conflict, Gone, Refused
from consent_service.services.access import Caller, roles_of
from consent_service.services.context import Context

ERASED_CODES = frozenset({"erased", "locked"})
ENDED = frozenset({ConsentState.WITHDRAWN, ConsentState.REVOKED})
REFUSED = frozenset({ConsentState.DECLINED, ConsentState.EXPIRED})
"""Consent that is over without an order, a dispute or a review that would settle what becomes."""

_SHOWN, _FENCE, _ORDER = (model.__table__.c for model in (DepictedPerson, Fence, ErasureOrder))
_DEPICTED = (
    select(_SHOWN.person_id)
    .where(_SHOWN.asset_id == bindparam("asset"), _SHOWN.depiction == Depiction.DEPICTED)
    .order_by(_SHOWN.person_id)
)
_STANDING = select(_FENCE.involvement_id, _FENCE.asset_ids, _ORDER.scope).where(
    _ORDER.id == _FENCE.order_id, _FENCE.lifted_at.is_(None)
)
_STANDING_IN_ONE = _STANDING.where(_FENCE.involvement_id == bindparam("involvement"))
"""Asked at every use of film: a list, which is spelt out at each call, would be a third more."""
_STANDING_IN_EACH = _STANDING.where(
    _FENCE.involvement_id.in_(bindparam("involvements", expanding=True))
)


@dataclass(frozen=True)
class Reason:
    """One thing that stands in the way of a use."""

    code: str
    person: str | None = None
    purpose: str | None = None
    state: ConsentState | None = None
    order: str | None = None


@dataclass(frozen=True)
class Permitted:
    """Whether a use is permitted, and if not, every reason."""

    permitted: bool
    reasons: tuple[Reason, ...] = ()


def depicted_in(session: Session, asset: str) -> list[str]:
    """Return everyone seen or heard in an asset (staff present behind the camera excepted)."""
    return [person for (person,) in rows_of(session, _DEPICTED, asset=asset)]


def check(
    ctx: Context, session: Session, asset: Asset, purpose: str, at: datetime, caller: Caller | None
) -> Permitted:
    """Decide rule 3 for one asset and purpose; `caller` None skips the question of roles."""
    reasons = [*_standing(session, asset), *_by_role(ctx, caller, purpose)]
    people = depicted_in(session, asset.id)
    states = states_now(session, asset.involvement_id, people, [purpose], at)
    reasons += _by_consent(people, purpose, {p: states[p, purpose] for p in people})
    return Permitted(not reasons, tuple(reasons))


def require_permitted(
    ctx: Context, session: Session, asset: Asset, purpose: str, at: datetime, caller: Caller | None
) -> None:
    """Raise what a refused use gets: Gone, Conflict (`not_ready`) or Refused with its code."""
    _require_none(session, asset, purpose, check(ctx, session, asset, purpose, at, caller).reasons)


def require_still_wanted(ctx: Context, session: Session, asset: Asset, at: datetime) -> None:
    """Raise what `require_permitted` would for `care`, but that the film is still coming in."""
    reasons = check(ctx, session, asset, CARE, at, None).reasons
    rest = tuple(reason for reason in reasons if reason.code != "not_ready")
    _require_none(session, asset, CARE, rest)


def is_refused_for_good(ctx: Context, session: Session, asset: Asset, at: datetime) -> bool:
    """Tell whether a film that is still coming in may not be stored, and nobody is left to decide.

    Not so under a fence: then an order says what becomes of it.
    """
    reasons = [r for r in check(ctx, session, asset, CARE, at, None).reasons if r.state is not None]
    over = bool(reasons) and all(reason.state in REFUSED for reason in reasons)
    return over and not is_fenced(session, asset)


def is_void(ctx: Context, session: Session, asset: Asset, at: datetime) -> bool:
    """Tell whether an act that was never valid is why a film may not be used, and no order is."""
    reasons = check(ctx, session, asset, CARE, at, None).reasons
    void = any(reason.state is ConsentState.INVALIDATED for reason in reasons)
    return void and not is_fenced(session, asset)


def _require_none(
    session: Session, asset: Asset, purpose: str, reasons: tuple[Reason, ...]
) -> None:
    if not reasons:
        return
    codes = {reason.code for reason in reasons}
    first = next((r for r in reasons if r.code in ERASED_CODES), None)
    ended = [r for r in reasons if r.state in ENDED]
    if first is not None or ended:
        raise _gone(session, asset, first)
    if "not_ready" in codes:
        raise Conflict(
            "This film is still being received. Try again when it is stored.",
            code="not_ready",
            asset=asset.id,
        )
    if "role" in codes:
        raise Refused(f"Your role may not watch for {purpose}.", code="role", purpose=purpose)
    if "access_frozen" in codes:
        raise Refused(
            "Access is frozen until the IG officer decides.", code="access_frozen", asset=asset.id
        )
    raise consent_missing(reasons)


def consent_missing(reasons: tuple[Reason, ...]) -> Refused:
    """Return the refusal that names whose consent is missing, and for what."""
    missing = [
        {"person": r.person, "purpose": r.purpose, "state": r.state}
        for r in reasons
        if r.code == "consent_missing"
    ]
    return Refused(
        "Consent is missing. Ask everyone named before going on.",
        code="consent_missing",
        missing=missing,
    )


def _standing(session: Session, asset: Asset) -> list[Reason]:
    if asset.state is AssetState.ERASED:
        return [Reason("erased", order=order_of(session, asset))]
    if asset.state in ARRIVING:
        return [Reason("not_ready")]
    if asset.state is AssetState.LOCKED or is_fenced(session, asset):
        return [Reason("locked", order=order_of(session, asset))]
    if asset.state in (AssetState.RESTRICTED, AssetState.AWAITING_CONSENT):
        return [Reason("access_frozen")]
    return []


@dataclass(frozen=True)
class Fences:
    """The assets that standing fences of an involvement name: alone, or with what was made of them.

    Retention of a recording fences the recording only: its clips have their own class and date.
    """

    alone: frozenset[str]
    with_derived: frozenset[str]

    def hold_back(self, asset: str, sources: Mapping[str, str | None]) -> bool:
        """Tell whether a fence stands before `asset`; `sources` maps asset to its source."""
        if asset in self.alone:
            return True
        current: str | None = asset
        while self.with_derived and current is not None:
            if current in self.with_derived:
                return True
            current = sources.get(current)
        return False


def standing_fences(session: Session, involvement: str) -> Fences:
    """Return what the involvement's standing fences name."""
    rows = rows_of(session, _STANDING_IN_ONE, involvement=involvement)
    return _fences([involvement], rows)[involvement]


def fences_of_each(session: Session, involvements: Sequence[str]) -> dict[str, Fences]:
    """Return what the standing fences of each of these involvements name, in one query."""
    rows = rows_of(session, _STANDING_IN_EACH, involvements=involvements)
    return _fences(involvements, rows)


def _fences(involvements: Sequence[str], rows: Sequence[Columns]) -> dict[str, Fences]:
    alone: dict[str, set[str]] = {involvement: set() for involvement in involvements}
    derived: dict[str, set[str]] = {involvement: set() for involvement in involvements}
    for involvement, ids, scope in rows:
        named = derived if scope.get("cascades", True) else alone
        named[involvement].update(ids)
    return {i: Fences(frozenset(alone[i]), frozenset(derived[i])) for i in involvements}


def is_fenced(session: Session, asset: Asset) -> bool:
    """Tell whether a standing fence names this asset, or with its derived what it was made from."""
    fences = standing_fences(session, asset.involvement_id)
    sources: dict[str, str | None] = {}
    current: Asset | None = asset
    while fences.with_derived and current is not None:
        sources[current.id] = current.source_id
        current = session.get(Asset, current.source_id) if current.source_id else None
    return fences.hold_back(asset.id, sources)


def order_of(session: Session, asset: Asset) -> str | None:
    """Return the reference of the order that erased the asset; else of its family's newest."""
    erased = references_of_erased(session, [asset.id]).get(asset.id)
    return erased or session.scalar(
        select(ErasureOrder.reference)
        .where(
            ErasureOrder.involvement_id == asset.involvement_id,
            ErasureOrder.state != OrderState.CANCELLED,
        )
        .order_by(ErasureOrder.ordered_at.desc(), ErasureOrder.id)
        .limit(1)
    )


def _by_role(ctx: Context, caller: Caller | None, purpose: str) -> list[Reason]:
    base, _ = split_use(purpose)
    if caller is None or any(role.states(base) for role in roles_of(ctx, caller)):
        return []
    return [Reason("role", purpose=purpose)]


def _by_consent(people: list[str], purpose: str, states: dict[str, Finding]) -> list[Reason]:
    reasons = []
    for missing in missing_for([(p, states[p]) for p in people], purpose):
        frozen = missing.state is ConsentState.DISPUTED
        code = "access_frozen" if frozen else "consent_missing"
        reasons.append(Reason(code, missing.person, purpose, missing.state))
    return reasons


def _gone(session: Session, asset: Asset, reason: Reason | None) -> Gone:
    return Gone(
        "This film was withdrawn or erased.",
        asset=asset.id,
        order=reason.order if reason else order_of(session, asset),
    )
