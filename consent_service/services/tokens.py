"""Tokens for programs: shown once, kept as a digest, good for some of their owner's roles.

Rules kept here:
  * a token never reaches further than its owner does at the moment of use;
  * a revoked token stays revoked when an older database is put back: the journal says so.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import InvalidInput, NotFound, NotSignedIn
from consent_service.ids import new_id
from consent_service.services import erasure_journal
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.sign_in import account_of, require_account
from consent_service.vault.journal import LineKind

LONGEST_DAYS = 366
PREFIX = "cs_"
USE_NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class TokenView:
    """A token as listed; its secret is nowhere."""

    id: str
    user: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


def create_token(
    ctx: Context, caller: Caller, user: str, scopes: Sequence[str], days: int
) -> tuple[str, str]:
    """Make a token for an account; returns (id, secret). The secret is never shown again.

    `scopes` are role codes that the account has; empty means all of them.
    """
    require(ctx, caller, Permission.TOKENS_MANAGE)
    require_fresh(caller)
    secret = PREFIX + secrets.token_urlsafe(32)
    with ctx.begin() as uow:
        owner = account_of(uow.session, require_account(uow.session, user))
        wanted = sorted(set(scopes) or owner.roles)
        _check(owner.roles, wanted, days)
        row = ApiToken(
            id=new_id(),
            user_id=user,
            token_sha256=token_digest(secret),
            scopes=wanted,
            created_at=uow.at,
            expires_at=uow.at + timedelta(days=days),
        )
        uow.session.add(row)
        uow.record(
            AuditEvent(
                EventKind.TOKEN_CREATED,
                caller.actor,
                row.id,
                details={"role": wanted, "until": row.expires_at.date().isoformat()},
            )
        )
        return row.id, secret


def list_tokens(ctx: Context, caller: Caller) -> list[TokenView]:
    """Return every token, newest first."""
    require(ctx, caller, Permission.TOKENS_MANAGE)
    with ctx.read() as session:
        rows = session.scalars(select(ApiToken).order_by(ApiToken.created_at.desc(), ApiToken.id))
        return [
            TokenView(
                row.id,
                row.user_id,
                tuple(row.scopes),
                row.created_at,
                row.expires_at,
                row.revoked_at,
                row.last_used_at,
            )
            for row in rows
        ]


def revoke_token(ctx: Context, caller: Caller, token: str) -> None:
    """Make a token worthless; doing it twice changes nothing."""
    require(ctx, caller, Permission.TOKENS_MANAGE)
    with ctx.begin() as uow:
        row = uow.session.get(ApiToken, token, with_for_update=True)
        if row is None:
            raise NotFound("There is no such token.", kind="token")
        if row.revoked_at is not None:
            return
        revoke(uow, caller, row)
    ctx.viewings.callers.clear()
    erasure_journal.acknowledge(ctx)


def revoke(uow: UnitOfWork, caller: Caller, row: ApiToken) -> None:
    """Mark one token as revoked within a transaction that owes the journal its line."""
    row.revoked_at = uow.at
    erasure_journal.owe(uow, LineKind.ACCESS_REVOKED, {"kind": "token", "id": row.id})
    uow.record(AuditEvent(EventKind.TOKEN_REVOKED, caller.actor, row.id))


def caller_of_token(ctx: Context, secret: str) -> Caller:
    """Return who calls with this token; raises NotSignedIn when it is not good now.

    Its roles are those that the token names and its owner still has. A token proves itself at
    every call, so its caller counts as fresh.
    """
    now = ctx.clock.now()
    digest = token_digest(secret)
    with ctx.read() as session:
        row = session.scalar(select(ApiToken).where(ApiToken.token_sha256 == digest))
        owner = session.get(UserAccount, row.user_id) if row is not None else None
        if row is None or owner is None or not hmac.compare_digest(row.token_sha256, digest):
            raise _not_good()
        if row.revoked_at is not None or now >= row.expires_at or not owner.active:
            raise _not_good()
        account = account_of(session, owner)
        caller = Caller(
            Actor(ActorKind.TOKEN, row.id),
            account.id,
            account.roles & frozenset(row.scopes),
            account.teams,
        )
        noted = row.last_used_at
    if noted is None or now - noted >= USE_NOTED_EVERY:
        _note_use(ctx, row.id)
    return caller


def caller_who_watches(ctx: Context, secret: str) -> Caller:
    """Return who calls with this token, as read within the last second; else as `caller_of_token`.

    For the ranges of a film, of which a player asks many a second: like the consent of those who
    are in it, a token that was revoked in another process is denied within a second.
    """
    now = ctx.clock.now()
    return ctx.viewings.callers.get(token_digest(secret), now, lambda: caller_of_token(ctx, secret))


def token_digest(secret: str) -> str:
    """Return the SHA-256 under which a token or link is kept, as hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8")).hexdigest()


def _note_use(ctx: Context, token: str) -> None:
    with ctx.begin() as uow:
        uow.session.execute(
            update(ApiToken).where(ApiToken.id == token).values(last_used_at=uow.at)
        )


def _check(roles: frozenset[str], wanted: list[str], days: int) -> None:
    faults = {}
    if not wanted or not set(wanted) <= roles:
        faults["scopes"] = f"A token has roles of its account: {', '.join(sorted(roles))}."
    if not 1 <= days <= LONGEST_DAYS:
        faults["days"] = f"A token lasts 1 to {LONGEST_DAYS} days."
    if faults:
        raise InvalidInput("The token cannot be made like this.", faults)


def _not_good() -> NotSignedIn:
    return NotSignedIn("This token is not valid. Ask your administrator for a new one.")
