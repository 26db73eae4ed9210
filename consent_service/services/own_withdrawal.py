"""Stopping by one's own link, and changing one's mind: by the link and a number of one's own.

Rules kept here:
  * whoever holds a link withdraws in their own name: for themselves, or for a child whom they
    decide for; single films only those that show themselves;
  * a link alone never takes a withdrawal back (rule 5): that needs the number chosen when
    withdrawing, and five wrong ones leave the way with the guider only;
  * what is told of the outcome does not say that something is held or disputed: it names what was
    asked to go, and says that the law may keep some of it locked for a while.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, or_, select, update

from consent_service.clock import london_day
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.links import UndoPin
from consent_service.db.models.people import Involvement
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.links import MOST_WRONG_ANSWERS, PIN_DIGITS
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import InvalidInput, Refused
from consent_service.services import own_films, withdrawal
from consent_service.services.access import Caller, require_own
from consent_service.services.context import Context
from consent_service.services.link_sessions import require_held
from consent_service.services.notices import notify
from consent_service.services.own_page import decides_for
from consent_service.services.sign_in import PASSWORDS
from consent_service.services.withdrawal_outcome import (
    Outcome,
    PreviewLine,
    PreviewView,
    WithdrawalView,
)
from consent_service.services.withdrawal_told import NOT_TOLD, purposes_told

PIN_FORM = f"Choose a number of {PIN_DIGITS} digits, or leave it empty."
WRONG_PIN = "This is not the number that you chose. After five wrong tries only your guider can."

NOT_OFFERED = "Choose from the films that show you. Others are stopped together with your guider."


@dataclass(frozen=True)
class OwnRequest:
    """What somebody stops, for whom, and when film goes."""

    person: str
    scope: WithdrawalScope
    speed: Speed
    purposes: tuple[str, ...] = ()
    keep_purposes: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """What becomes of film, as a family's page says it: how many of each kind.

    `goes` is everything that was asked to go; `stays` what is kept on a ground that everybody may
    know, as (kind, ground).
    """

    goes: tuple[tuple[str, int], ...]
    stays: tuple[tuple[str, str], ...]
    cannot_recall: bool

    @classmethod
    def of(cls, shown: PreviewView | Outcome) -> "Told":
        """Return what may be told of a preview or an outcome."""
        going = [line.kind for line in shown.lines if _goes(line)]
        kept = [(line.kind, line.ground or "") for line in shown.lines if not _goes(line)]
        return cls(tuple(sorted(Counter(going).items())), _once(kept), bool(shown.cannot_recall))


def _goes(line: PreviewLine) -> bool:
    return line.outcome == "destroy" or line.ground in NOT_TOLD


def _once(lines: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(lines))


def people(ctx: Context, caller: Caller) -> list[str]:
    """Return for whom the holder of a link may stop film: themselves first."""
    own = require_own(caller)
    with ctx.read() as session:
        return decides_for(session, own, london_day(ctx.clock.now()))


def uses_told(ctx: Context, caller: Caller, person: str, purposes: Sequence[str]) -> list[str]:
    """Return those of the uses that end which the holder of a link answered themselves."""
    with ctx.read() as session:
        return list(purposes_told(session, caller, person, purposes))


def preview(ctx: Context, caller: Caller, wanted: OwnRequest) -> PreviewView:
    """Say what stopping would do; nothing of it is kept."""
    return withdrawal.preview(ctx, caller, _request(ctx, caller, wanted))


def stop(ctx: Context, caller: Caller, wanted: OwnRequest, pin: str = "") -> WithdrawalView:
    """Withdraw by link: access is over when this returns, and the guider is told.

    `pin`, with the days to think, lets the same person change their mind by link.
    """
    if pin and (not pin.isascii() or not pin.isdigit() or len(pin) != PIN_DIGITS):
        raise InvalidInput(PIN_FORM, {"pin": PIN_FORM})
    hashed = PASSWORDS.hash(pin) if pin and wanted.speed is Speed.SEVEN_DAYS else None

    def also(uow: UnitOfWork, identifier: str) -> None:
        require_held(ctx, uow, caller)
        if hashed is not None:
            uow.session.add(UndoPin(withdrawal_id=identifier, pin_hash=hashed))
        _tell_guider(uow, caller, "withdrawn_by_link")

    return withdrawal.withdraw(ctx, caller, _request(ctx, caller, wanted), also)


def can_keep(ctx: Context, caller: Caller, identifier: str) -> bool:
    """Tell whether this withdrawal may still be taken back by link, with its number."""
    view = withdrawal.withdrawal(ctx, caller, identifier)
    if view.cancelled_at or view.undo_until is None or ctx.clock.now() >= view.undo_until:
        return False
    with ctx.read() as session:
        row = session.get(UndoPin, identifier)
        return row is not None and row.wrong_answers < MOST_WRONG_ANSWERS


def keep_after_all(ctx: Context, caller: Caller, identifier: str, pin: str) -> WithdrawalView:
    """Take one's own withdrawal back within its days.

    Raises InvalidInput (`pin`) for a wrong number, Refused `with_guider` when there is none or too
    many were wrong, and what `withdrawal.cancel` raises.
    """
    own = require_own(caller)
    withdrawal.withdrawal(ctx, caller, identifier)
    _require_pin(ctx, identifier, pin)

    def also(uow: UnitOfWork, _: str) -> None:
        require_held(ctx, uow, caller)
        _tell_guider(uow, caller, "kept_by_link")

    return withdrawal.cancel(ctx, caller, identifier, own.person, also)


def _tell_guider(uow: UnitOfWork, caller: Caller, why: str) -> None:
    involvement = require_own(caller).involvement
    guider = uow.session.get_one(Involvement, involvement).guider_id
    notify(uow, why, user=guider, subject=involvement)


def _require_pin(ctx: Context, identifier: str, pin: str) -> None:
    # Counted as wrong before it is looked at: tries at the same time count one by one.
    with ctx.begin() as uow:
        done = uow.session.execute(
            update(UndoPin)
            .where(UndoPin.withdrawal_id == identifier, UndoPin.wrong_answers < MOST_WRONG_ANSWERS)
            .values(wrong_answers=UndoPin.wrong_answers + 1)
        )
        row = uow.session.get(UndoPin, identifier)
        known = row.pin_hash if row is not None else ""
        counted = bool(done.rowcount)  # type: ignore[attr-defined]
    if not counted:
        raise Refused("Only you together with your guider can do this now.", code="with_guider")
    if not PASSWORDS.verify(pin, known):
        raise InvalidInput(WRONG_PIN, {"pin": WRONG_PIN})
    with ctx.begin() as uow:
        uow.session.get_one(UndoPin, identifier).wrong_answers = 0


def forget_pins(uow: UnitOfWork) -> int:
    """Forget the numbers of withdrawals that cannot be taken back any more; returns how many."""
    over = select(Withdrawal.id).where(
        or_(Withdrawal.undo_until <= uow.at, Withdrawal.cancelled_at.is_not(None))
    )
    done = uow.session.execute(delete(UndoPin).where(UndoPin.withdrawal_id.in_(over)))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _request(ctx: Context, caller: Caller, wanted: OwnRequest) -> WithdrawalRequest:
    own = require_own(caller)
    if wanted.scope is WithdrawalScope.ASSETS:
        _require_offered(ctx, caller, wanted)
    return WithdrawalRequest(
        involvement=own.involvement,
        person=wanted.person,
        by=own.person,
        scope=wanted.scope,
        speed=wanted.speed,
        route=Route.REMOTE_LINK,
        moment=ctx.clock.now(),
        purposes=wanted.purposes,
        keep_purposes=wanted.keep_purposes,
        assets=wanted.assets,
    )


def _require_offered(ctx: Context, caller: Caller, wanted: OwnRequest) -> None:
    """Raise InvalidInput unless each film named is one that shows the holder of the link."""
    offered = {film.id for film in own_films.stoppable(ctx, caller)}
    if wanted.person != require_own(caller).person or not set(wanted.assets) <= offered:
        raise InvalidInput(NOT_OFFERED, {"assets": NOT_OFFERED})
