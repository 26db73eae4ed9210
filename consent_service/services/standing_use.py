"""Acts on film whose bytes flow for a while: ended where consent or power ends, not only later.

Rules kept here:
  * between two pieces an act looks at the involvement's consent epoch, which a process reads at
    most once a second;
  * only where it moved is the act's own question asked again, so that a yes, or what somebody else
    decided, ends nothing;
  * whoever began it is looked at as often: an account that was closed, a session or token that
    ended, a role or team that was lost ends it too;
  * what the question raises goes on, as does a fault of the database: nothing flows unasked.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.people import Involvement
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, involvement_for
from consent_service.services.context import Context
from consent_service.services.standing_caller import require_caller

Ask = Callable[[Session, datetime], None]
"""Asks whether an act may go on at an instant; raises Gone, Refused or Conflict where not."""


class StandingUse:
    """One act that was permitted as of `epoch`, looked at by calling it before each piece.

    `by` says who does it, by which verb; None where it is nobody's any more to end.
    """

    def __init__(
        self,
        ctx: Context,
        involvement: str,
        epoch: int,
        ask: Ask,
        by: tuple[Caller, Permission] | None = None,
    ) -> None:
        self._ctx = ctx
        self._involvement = involvement
        self._epoch = epoch
        self._ask = ask
        self._by = by

    def __call__(self) -> None:
        """Raise what the question raises, where anything moved since it was asked last.

        Raises NotSignedIn, Refused and NotFound where whoever does this may not any more.
        """
        now = self._ctx.clock.now()
        self._require_caller(now)
        epoch = epoch_of(self._ctx, self._involvement, now)
        if epoch == self._epoch:
            return
        with self._ctx.read() as session:
            self._ask(session, now)
        # As it was read before the question: what moved since is asked about at the next look.
        self._epoch = epoch

    def _require_caller(self, now: datetime) -> None:
        """Raise NotSignedIn, Refused or NotFound where whoever does this may not any more."""
        if self._by is None:
            return
        known, verb = self._by
        caller = require_caller(self._ctx, known, now)
        if caller == known:
            return
        with self._ctx.read() as session:
            involvement_for(self._ctx, session, caller, verb, self._involvement)
        self._by = caller, verb


def epoch_of(ctx: Context, involvement: str, now: datetime) -> int:
    """Return an involvement's consent epoch as of the last second; -1 where there is none."""
    return ctx.viewings.epochs.get(involvement, now, lambda: _read_epoch(ctx, involvement))


def _read_epoch(ctx: Context, involvement: str) -> int:
    with ctx.read() as session:
        found = session.scalar(
            select(Involvement.consent_epoch).where(Involvement.id == involvement)
        )
        return -1 if found is None else found
