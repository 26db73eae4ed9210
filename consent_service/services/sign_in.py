"""What signing in reads and writes: passwords, second factors, lock-out, the end of sessions.

Passwords are argon2id as libpass writes it and one-time codes are RFC 6238, so that the pages
(Flask-Security) and everything without pages (command line, demo) agree on both.

Rules kept here:
  * a sign-in, its failure and every change of a factor is an audit event, without an address;
  * after ten failures in a row an account is locked for fifteen minutes;
  * a one-time code is good once, also for two requests at the same moment;
  * a session belongs to the account's present `fs_uniquifier`: changing it ends every session.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from passlib.context import CryptContext
from passlib.totp import TOTP
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from consent_service.db.models.accounts import TeamMember, UserAccount
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.errors import InvalidInput, NotFound
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.settings import Settings
from consent_service.vault.durable import locked_folder, write_whole

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
FEWEST_LETTERS = 5
MOST_FAILURES = 10
LOCKED_FOR = timedelta(minutes=15)
TOTP_KEY_TAG = "1"
SECRET_FILE = "page-secret"  # noqa: S105 - the name of a file
PASSWORDS = CryptContext(schemes=["argon2"], argon2__type="ID")


@dataclass
class Account:
    """An account as signing in sees it. Not frozen: Flask-Security sets its fields, then saves.

    `roles` are role codes, `teams` team ids. `totp_secret` and `recovery_codes` are encrypted.
    """

    id: str
    email: str
    display_name: str
    password: str | None
    active: bool
    fs_uniquifier: str
    totp_method: str | None
    totp_secret: str | None
    recovery_codes: list[str]
    locked_until: datetime | None
    roles: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()

    @property
    def has_second_factor(self) -> bool:
        """Whether a second factor is set up."""
        return bool(self.totp_method and self.totp_secret)

    def caller(self, *, fresh: bool) -> Caller:
        """Return this account as the caller of use cases."""
        return Caller(Actor(ActorKind.USER, self.id), self.id, self.roles, self.teams, fresh)


@dataclass(frozen=True)
class Factors:
    """What may change while someone signs in."""

    password: str | None
    totp_method: str | None
    totp_secret: str | None
    recovery_codes: list[str] = field(default_factory=list)


def page_secret(settings: Settings) -> str:
    """Return the secret that signs sessions and wraps second factors; made once when not set."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    path = settings.under_data(SECRET_FILE)
    with locked_folder(settings.data_dir):
        if not path.exists():
            write_whole(path, secrets.token_urlsafe(48).encode())
        return path.read_text(encoding="ascii")


def secret_for(settings: Settings, use: str) -> bytes:
    """Return 32 bytes that belong to one use of the page secret."""
    return hashlib.blake2b(
        use.encode(), key=hashlib.sha256(page_secret(settings).encode()).digest(), digest_size=32
    ).digest()


def totp_keys(settings: Settings) -> dict[str, str]:
    """Return the keys under which one-time-code secrets are stored, newest first."""
    key = base64.b32encode(secret_for(settings, "one-time codes")).decode().rstrip("=")
    return {TOTP_KEY_TAG: key}


def totp_class(ctx: Context) -> type[TOTP]:
    """Return the one-time-code class of this service; its clock is the service's clock."""
    return TOTP.using(
        issuer=organisation_name(ctx),
        secrets=totp_keys(ctx.settings),
        now=lambda: ctx.clock.now().timestamp(),
    )


def organisation_name(ctx: Context) -> str:
    """Return the name on pages and in authenticator apps."""
    return ctx.settings.organisation or ctx.policies.organisation.name


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    return str(PASSWORDS.hash(password))


def find_account(
    ctx: Context, *, id: str = "", email: str = "", uniquifier: str = ""
) -> Account | None:
    """Return the account with this id, address (in any case) or session mark."""
    found: ColumnElement[bool]
    if id:
        found = UserAccount.id == id
    elif email:
        found = func.lower(UserAccount.email) == email.strip().lower()
    else:
        found = UserAccount.fs_uniquifier == uniquifier
    with ctx.read() as session:
        row = session.scalar(select(UserAccount).where(found))
        return None if row is None else account_of(session, row)


def account_of(session: Session, row: UserAccount) -> Account:
    """Return a row as a value."""
    teams = session.scalars(select(TeamMember.team_id).where(TeamMember.user_id == row.id))
    return Account(
        row.id,
        row.email,
        row.display_name,
        row.password,
        row.active,
        row.fs_uniquifier,
        row.tf_primary_method,
        row.tf_totp_secret,
        list(row.mf_recovery_codes or []),
        row.locked_until,
        frozenset(role.name for role in row.roles),
        frozenset(teams),
    )


def is_locked(ctx: Context, account: Account) -> bool:
    """Tell whether too many failures lock the account now."""
    return account.locked_until is not None and ctx.clock.now() < account.locked_until


def save_factors(ctx: Context, account: str, factors: Factors) -> None:
    """Store what signing in changed, each change with its event."""
    with ctx.begin() as uow:
        row = require_account(uow.session, account)
        actor = Actor(ActorKind.USER, row.id)
        known = list(row.mf_recovery_codes or [])
        if (row.tf_primary_method, row.tf_totp_secret) != (
            factors.totp_method,
            factors.totp_secret,
        ):
            row.tf_primary_method = factors.totp_method
            row.tf_totp_secret = factors.totp_secret
            row.totp_counter = None
            uow.record(AuditEvent(EventKind.USER_SECOND_FACTOR_SET, actor, row.id))
        if factors.recovery_codes != known:
            row.mf_recovery_codes = list(factors.recovery_codes)
            used = len(factors.recovery_codes) < len(known)
            kind = EventKind.USER_RECOVERY_CODE_USED if used else EventKind.USER_SECOND_FACTOR_SET
            details: dict[str, Any] = {} if used else {"method": "recovery_codes"}
            uow.record(AuditEvent(kind, actor, row.id, details=details))
        row.password = factors.password


def use_code(ctx: Context, account: str, counter: int) -> bool:
    """Use up the one-time code of a time step; False when it or a later one was used before."""
    with ctx.begin() as uow:
        done = uow.session.execute(
            update(UserAccount)
            .where(
                UserAccount.id == account,
                UserAccount.totp_counter.is_(None) | (UserAccount.totp_counter < counter),
            )
            .values(totp_counter=counter)
        )
        return bool(done.rowcount)  # type: ignore[attr-defined]


def record_sign_in(ctx: Context, account: str, method: str) -> None:
    """Write down a sign-in; earlier failures are forgotten."""
    with ctx.begin() as uow:
        row = require_account(uow.session, account)
        row.failed_sign_ins = 0
        row.locked_until = None
        row.last_seen_at = uow.at
        actor = Actor(ActorKind.USER, row.id)
        uow.record(AuditEvent(EventKind.USER_SIGNED_IN, actor, row.id, details={"method": method}))


def record_failure(ctx: Context, account: str | None, reason: str) -> None:
    """Write down a failed sign-in and lock the account when there were too many.

    `account` is None for an address that nobody here has. `reason` is a code.
    """
    with ctx.begin() as uow:
        details = {"reason": reason}
        actor = Actor(ActorKind.SYSTEM, "sign-in")
        if account is not None:
            row = require_account(uow.session, account)
            row.failed_sign_ins += 1
            if row.failed_sign_ins >= MOST_FAILURES:
                row.locked_until = uow.at + LOCKED_FOR
                row.failed_sign_ins = 0
            details["user"] = account
        uow.record(AuditEvent(EventKind.USER_SIGN_IN_FAILED, actor, account, details=details))


def change_password(ctx: Context, caller: Caller, current: str, new: str) -> None:
    """Change one's own password and end every session; raises InvalidInput by field.

    A wrong present password counts as a failure to sign in.
    """
    account = find_account(ctx, id=caller.id)
    if account is None or is_locked(ctx, account) or not _matches(account, current):
        if account is not None:
            record_failure(ctx, account.id, "password")
        sentence = "This is not your present password."
        raise InvalidInput(sentence, {"current": sentence})
    require_good_password(new)
    hashed = hash_password(new)
    with ctx.begin() as uow:
        row = require_account(uow.session, caller.id)
        row.password = hashed
        end_sessions(uow, row)
        uow.record(AuditEvent(EventKind.USER_PASSWORD_CHANGED, caller.actor, row.id))


def require_good_password(password: str) -> None:
    """Raise InvalidInput (`password`) for one that is too short, too long or too plain."""
    fault = ""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        fault = f"Use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters: a few words will do."
    elif len(set(password)) < FEWEST_LETTERS:
        fault = "Use a password that is harder to guess."
    if fault:
        raise InvalidInput(fault, {"password": fault})


def _matches(account: Account, password: str) -> bool:
    return bool(account.password and PASSWORDS.verify(password, account.password))


def sign_out(ctx: Context, account: str, reason: str = "") -> None:
    """End every session of an account, on every device."""
    with ctx.begin() as uow:
        row = require_account(uow.session, account)
        end_sessions(uow, row)
        details = {"reason": reason} if reason else {}
        actor = Actor(ActorKind.USER, row.id)
        uow.record(AuditEvent(EventKind.USER_SIGNED_OUT, actor, row.id, details=details))


def end_sessions(_uow: UnitOfWork, row: UserAccount) -> None:
    """Make every session cookie of this account worthless from the commit on."""
    row.fs_uniquifier = secrets.token_hex(32)


def require_account(session: Session, account: str) -> UserAccount:
    """Return an account's row, locked; raises NotFound."""
    row = session.get(UserAccount, account, with_for_update=True)
    if row is None:
        raise NotFound("There is no such account.", kind="account")
    return row
