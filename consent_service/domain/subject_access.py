"""A person asks what is held about them: the day an answer is due, and how a request goes on.

Pure. Rules kept here:
  * an answer is due within one calendar month of asking and never later: asked on 31 January, due
    on 28 February (UK GDPR Article 12(3));
  * a request moves along the lines of `MOVES` and no others.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from consent_service.domain.calendar import Period, Unit, gone_by
from consent_service.errors import Conflict

TIME_TO_ANSWER = Period(1, Unit.MONTHS)
DUE_SOON = Period(7, Unit.DAYS)
"""From so long before the due day a request stands among the exceptions."""

SHORTEST_PASSPHRASE, LONGEST_PASSPHRASE = 14, 100


class RequestState(StrEnum):
    """How far a request is."""

    OPEN = "open"
    ANSWERED = "answered"
    CLOSED = "closed"
    APPEALED = "appealed"


MOVES: Mapping[RequestState, frozenset[RequestState]] = {
    RequestState.OPEN: frozenset({RequestState.ANSWERED, RequestState.CLOSED}),
    RequestState.ANSWERED: frozenset({RequestState.CLOSED, RequestState.APPEALED}),
    RequestState.CLOSED: frozenset({RequestState.APPEALED}),
    RequestState.APPEALED: frozenset({RequestState.CLOSED}),
}
"""From where to where; a request may be closed unanswered, since people take theirs back."""


def answer_due_on(asked_on: date) -> date:
    """Return the last day on which an answer is in time."""
    return gone_by(asked_on, TIME_TO_ANSWER)


def require_move(request: str, state: RequestState, to: RequestState) -> None:
    """Raise Conflict (`request_state`) when a request in `state` cannot become `to`."""
    if to not in MOVES[state]:
        raise Conflict(
            f"Request {request} is {state.value}. It cannot become {to.value}.",
            code="request_state",
            state=state.value,
        )


def passphrase_fault(passphrase: str) -> str | None:
    """Return what is wrong with a passphrase for a file, or None.

    Printable ASCII only: what people type must mean the same bytes to every PDF reader.
    """
    if not SHORTEST_PASSPHRASE <= len(passphrase) <= LONGEST_PASSPHRASE:
        return f"Choose {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters."
    if not (passphrase.isascii() and passphrase.isprintable()):
        return "Use letters without accents, numbers and signs only."
    return None if len(set(passphrase)) > 4 else "Choose a passphrase that is harder to guess."
