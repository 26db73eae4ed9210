"""Accounts of staff: who has one, in which roles and teams; the keys to the door.

Rules kept here:
  * an account starts with a one-time link that sets its password; nobody else ever knows it;
  * disabling ends every session and token at once, and the journal remembers it through a restore;
  * changing roles, resetting and disabling need a recent sign-in;
  * nobody locks themselves out: the last active administrator stays.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from email_validator import EmailNotValidError, validate_email
from passlib.totp import TOTP
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from consent_service.db.models.accounts import (
    ApiToken,
    Role,
    SetUpLink,
    TeamMember,
    UserAccount,
)
from consent_service.db.models.people import Team
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR, PARENT, SCHEDULED_JOB, Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import erasure_journal, startup
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.sign_in import (
    Account,
    end_sessions,
    find_account,
    hash_password,
    require_account,
    require_good_password,
    totp_class,
)
from consent_service.services.tokens import (
    TokenView,
    caller_of_token,
    create_token,
    list_tokens,
    revoke,
    revoke_token,
    token_digest,
)
from consent_service.vault.journal import LineKind

__all__ = [
    "Account",
    "TokenView",
    "UserDetails",
    "UserView",
    "caller_of_token",
    "caller_of_user",
    "create_token",
    "create_user",
    "disable_user",
    "enable_user",
    "ensure_demo_user",
    "find_account",
    "list_tokens",
    "list_users",
    "reset_user",
    "revoke_token",
    "set_up_account",
]

LINK_LASTS = timedelta(days=7)
NOT_FOR_STAFF = frozenset({PARENT, SCHEDULED_JOB})


@dataclass(frozen=True)
class UserDetails:
    """A new account. `roles` are role codes, `teams` team ids."""

    email: str
    display_name: str
    roles: tuple[str, ...]
    teams: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserView:
    """An account as the administrator sees it."""

    id: str
    email: str
    display_name: str
    active: bool
    roles: tuple[str, ...]
    teams: tuple[str, ...]
    has_password: bool
    has_second_factor: bool
    locked_until: datetime | None
    last_seen_at: datetime | None


def create_user(ctx: Context, caller: Caller, details: UserDetails) -> tuple[str, str]:
    """Make an account; returns (id, token of its one-time set-up link).

    Raises InvalidInput with every fault, Conflict `address_taken`.
    """
    require(ctx, caller, Permission.USERS_MANAGE)
    require_fresh(caller)
    with ctx.begin() as uow:
        row = _add_account(ctx, uow, details)
        for role in details.roles:
            uow.record(
                AuditEvent(EventKind.USER_CREATED, caller.actor, row.id, details={"role": role})
            )
        return row.id, _new_link(uow, caller.actor, row)


def list_users(ctx: Context, caller: Caller) -> list[UserView]:
    """Return every account by name."""
    require(ctx, caller, Permission.USERS_MANAGE)
    with ctx.read() as session:
        teams: dict[str, list[str]] = {}
        for member in session.scalars(select(TeamMember)):
            teams.setdefault(member.user_id, []).append(member.team_id)
        rows = session.scalars(select(UserAccount).order_by(func.lower(UserAccount.display_name)))
        return [_view(row, teams.get(row.id, [])) for row in rows]


def disable_user(ctx: Context, caller: Caller, user: str) -> None:
    """Close an account: its sessions and tokens end now, also after a restore."""
    require(ctx, caller, Permission.USERS_MANAGE)
    require_fresh(caller)
    with ctx.begin() as uow:
        row = require_account(uow.session, user)
        if not row.active:
            return
        _require_other_administrator(uow.session, row)
        row.active = False
        row.disabled_at = uow.at
        end_sessions(uow, row)
        tokens = uow.session.scalars(
            select(ApiToken).where(ApiToken.user_id == user, ApiToken.revoked_at.is_(None))
        ).all()
        for token in tokens:
            revoke(uow, caller, token)
        erasure_journal.owe(uow, LineKind.ACCESS_REVOKED, {"kind": "user", "id": user})
        uow.record(AuditEvent(EventKind.USER_DISABLED, caller.actor, row.id))
    erasure_journal.acknowledge(ctx)


def enable_user(ctx: Context, caller: Caller, user: str) -> None:
    """Open a closed account again; its old tokens stay revoked."""
    require(ctx, caller, Permission.USERS_MANAGE)
    require_fresh(caller)
    # The line that closed the account must be behind us, or the next replay closes it once more.
    erasure_journal.pay(ctx)
    startup.replay(ctx)
    with ctx.begin() as uow:
        row = require_account(uow.session, user)
        if row.active:
            return
        row.active = True
        row.disabled_at = None
        uow.record(AuditEvent(EventKind.USER_ENABLED, caller.actor, row.id))


def reset_user(ctx: Context, caller: Caller, user: str) -> str:
    """Take away password and second factor; returns the token of a new one-time link."""
    require(ctx, caller, Permission.USERS_MANAGE)
    require_fresh(caller)
    with ctx.begin() as uow:
        row = require_account(uow.session, user)
        row.password = None
        row.tf_primary_method = row.tf_totp_secret = None
        row.mf_recovery_codes = None
        row.failed_sign_ins = 0
        row.locked_until = None
        end_sessions(uow, row)
        uow.record(AuditEvent(EventKind.USER_PASSWORD_RESET, caller.actor, row.id))
        uow.record(AuditEvent(EventKind.USER_SECOND_FACTOR_RESET, caller.actor, row.id))
        return _new_link(uow, caller.actor, row)


def set_up_account(ctx: Context, token: str, password: str) -> str:
    """Set the first password with a one-time link; returns the account's id.

    Raises NotFound for a link that is unknown, used or too old, InvalidInput for a weak password.
    """
    require_good_password(password)
    hashed = hash_password(password)
    with ctx.begin() as uow:
        row = _standing_link(uow.session, token, uow.at)
        account = require_account(uow.session, row.user_id)
        row.used_at = uow.at
        account.password = hashed
        account.confirmed_at = account.confirmed_at or uow.at
        end_sessions(uow, account)
        actor = Actor(ActorKind.USER, account.id)
        uow.record(AuditEvent(EventKind.LINK_USED, actor, row.id))
        uow.record(AuditEvent(EventKind.USER_PASSWORD_CHANGED, actor, account.id))
        return account.id


def link_is_good(ctx: Context, token: str) -> bool:
    """Tell whether a set-up link can still be used."""
    with ctx.read() as session:
        try:
            _standing_link(session, token, ctx.clock.now())
        except NotFound:
            return False
        return True


def caller_of_user(ctx: Context, user: str) -> Caller:
    """Return an active account as caller, fresh: for the command line. Raises NotFound."""
    account = find_account(ctx, id=user)
    if account is None or not account.active:
        raise NotFound("There is no such account.", kind="account")
    return account.caller(fresh=True)


def ensure_demo_user(
    ctx: Context, details: UserDetails, password: str, totp_secret: str
) -> tuple[str, str]:
    """Make a complete account for the demo, or find it; returns (id, present one-time code).

    `totp_secret` is base32. The second factor stays on: the demo prints the code beside the login.
    """
    codes = totp_class(ctx)(key=totp_secret, format="base32")
    with ctx.begin() as uow:
        row = uow.session.scalar(select(UserAccount).where(UserAccount.email == details.email))
        if row is None:
            row = _add_account(ctx, uow, details)
            row.password = hash_password(password)
            row.confirmed_at = uow.at
            row.tf_primary_method = "authenticator"
            row.tf_totp_secret = codes.to_json(encrypt=True)
            actor = Actor(ActorKind.SYSTEM, "demo")
            uow.record(AuditEvent(EventKind.USER_CREATED, actor, row.id))
        return row.id, present_code(codes)


def present_code(codes: TOTP) -> str:
    """Return the one-time code of this moment."""
    return str(codes.generate().token)


def _add_account(ctx: Context, uow: UnitOfWork, details: UserDetails) -> UserAccount:
    email = _checked(ctx, uow.session, details)
    if uow.session.scalar(select(UserAccount.id).where(UserAccount.email == email)):
        raise Conflict("There is an account with this address.", code="address_taken")
    row = UserAccount(
        id=new_id(),
        email=email,
        display_name=" ".join(details.display_name.split()),
        fs_uniquifier=secrets.token_hex(32),
        created_at=uow.at,
    )
    row.roles = [_role(ctx, uow.session, code) for code in sorted(set(details.roles))]
    uow.session.add(row)
    uow.session.flush()
    for team in sorted(set(details.teams)):
        uow.session.add(TeamMember(team_id=team, user_id=row.id))
    uow.session.flush()
    return row


def _checked(ctx: Context, session: Session, details: UserDetails) -> str:
    faults: dict[str, str] = {}
    email = details.email.strip().lower()
    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        faults["email"] = "Enter an email address such as name@clinic.example."
    if not details.display_name.strip() or len(details.display_name) > 200:
        faults["display_name"] = "Enter a name of 1 to 200 characters."
    possible = set(ctx.policies.roles) - NOT_FOR_STAFF
    if not details.roles or not set(details.roles) <= possible:
        faults["roles"] = f"Choose one role or more: {', '.join(sorted(possible))}."
    known = set(session.scalars(select(Team.id)))
    if not set(details.teams) <= known:
        faults["teams"] = "Choose teams from the list."
    if faults:
        raise InvalidInput("The account cannot be made like this.", faults)
    return email


def _role(ctx: Context, session: Session, code: str) -> Role:
    row = session.scalar(select(Role).where(Role.name == code))
    if row is None:
        row = Role(id=new_id(), name=code, description=ctx.policies.roles[code].label)
        session.add(row)
    return row


def _new_link(uow: UnitOfWork, actor: Actor, row: UserAccount) -> str:
    token = secrets.token_urlsafe(32)
    for old in uow.session.scalars(
        select(SetUpLink).where(SetUpLink.user_id == row.id, SetUpLink.used_at.is_(None))
    ):
        old.used_at = uow.at
    link = SetUpLink(
        id=new_id(),
        user_id=row.id,
        token_sha256=token_digest(token),
        created_at=uow.at,
        expires_at=uow.at + LINK_LASTS,
    )
    uow.session.add(link)
    uow.record(AuditEvent(EventKind.LINK_MADE, actor, link.id, details={"link": "set-up"}))
    return token


def _standing_link(session: Session, token: str, at: datetime) -> SetUpLink:
    row = session.scalar(
        select(SetUpLink).where(SetUpLink.token_sha256 == token_digest(token)).with_for_update()
    )
    if row is None or row.used_at is not None or at >= row.expires_at:
        raise NotFound(
            "This link was used already or is too old. Ask your administrator for a new one.",
            kind="link",
        )
    return row


def _require_other_administrator(session: Session, row: UserAccount) -> None:
    if ADMINISTRATOR not in {role.name for role in row.roles}:
        return
    others = session.scalars(
        select(UserAccount.id)
        .join(UserAccount.roles)
        .where(Role.name == ADMINISTRATOR, UserAccount.active, UserAccount.id != row.id)
    ).first()
    if others is None:
        raise Conflict(
            "This is the last administrator. Make another one first.", code="last_administrator"
        )


def _view(row: UserAccount, teams: list[str]) -> UserView:
    return UserView(
        row.id,
        row.email,
        row.display_name,
        row.active,
        tuple(sorted(role.name for role in row.roles)),
        tuple(sorted(teams)),
        row.password is not None,
        bool(row.tf_primary_method and row.tf_totp_secret),
        row.locked_until,
        row.last_seen_at,
    )
