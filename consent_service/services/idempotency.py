"""Answering the same request once: what was done for an Idempotency-Key is not done again.

Rules kept here:
  * the same key with the same request gets the same answer for a day, with another request it is
    refused;
  * while the first request is still at work, a second one waits its turn outside: refused;
  * what was refused leaves no trace, so that it can be put right and sent again.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from consent_service.db.models.accounts import IdempotencyKey
from consent_service.errors import Conflict, TakenMeanwhile
from consent_service.services.access import Caller
from consent_service.services.context import Context

KEPT_FOR = timedelta(days=1)
GIVEN_UP_AFTER = timedelta(minutes=15)
"""A request that has not answered by then was cut off: its key may be used again."""


@dataclass(frozen=True)
class KeptAnswer:
    """What a request was answered; `location` is the path of what it made."""

    status: int
    body: dict[str, Any] | None
    location: str | None


def claim(ctx: Context, caller: Caller, key: str, digest: str) -> KeptAnswer | None:
    """Take a key for a request of this digest, or return what the same request was answered.

    Raises Conflict `idempotency_mismatch` for another request, `in_progress` while it is at work.
    """
    try:
        with ctx.begin() as uow:
            uow.session.execute(
                delete(IdempotencyKey).where(
                    IdempotencyKey.user_id == caller.id,
                    IdempotencyKey.created_at < uow.at - KEPT_FOR,
                )
            )
            row = uow.session.get(IdempotencyKey, (caller.id, key), with_for_update=True)
            if row is None:
                uow.session.add(
                    IdempotencyKey(
                        user_id=caller.id, key=key, request_digest=digest, created_at=uow.at
                    )
                )
                uow.session.flush()
                return None
            if row.request_digest != digest:
                raise Conflict(
                    "This key was used for another request. Use a new one.",
                    code="idempotency_mismatch",
                )
            if row.status is not None:
                return KeptAnswer(row.status, row.body, row.location)
            if uow.at - row.created_at < GIVEN_UP_AFTER:
                raise _in_progress()
            row.created_at = uow.at
            return None
    except TakenMeanwhile as taken:
        raise _in_progress() from taken


def keep(ctx: Context, caller: Caller, key: str, answer: KeptAnswer) -> None:
    """Keep what the request was answered."""
    with ctx.begin() as uow:
        row = uow.session.get(IdempotencyKey, (caller.id, key))
        if row is not None:
            row.status, row.body, row.location = answer.status, answer.body, answer.location


def release(ctx: Context, caller: Caller, key: str) -> None:
    """Give back the key of a request that was refused."""
    with ctx.begin() as uow:
        uow.session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.user_id == caller.id,
                IdempotencyKey.key == key,
                IdempotencyKey.status.is_(None),
            )
        )


def _in_progress() -> Conflict:
    return Conflict(
        "The first request with this key is still at work. Try again in a moment.",
        code="in_progress",
    )
