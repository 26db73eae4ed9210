"""Who began something that flows for a while: whether they still may, as they stand now.

Rules kept here:
  * who an account, a session or a token stands for is read at most once a second in a process, in
    one query, however many streams of theirs flow;
  * what was won since counts for nothing here: only what was lost does;
  * jobs and operators have no account that could be closed, and a family's link opens no film.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, bindparam, select

from consent_service.db.models.accounts import ApiToken, Role, TeamMember, UserAccount, UserRole
from consent_service.domain.audit import ActorKind
from consent_service.errors import NotSignedIn
from consent_service.services.access import Caller
from consent_service.services.context import Context

_STANDING = (
    select(
        UserAccount.fs_uniquifier,
        Role.name,
        TeamMember.team_id,
        ApiToken.scopes,
        ApiToken.expires_at,
    )
    .outerjoin(UserRole, UserRole.user_id == UserAccount.id)
    .outerjoin(Role, Role.id == UserRole.role_id)
    .outerjoin(TeamMember, TeamMember.user_id == UserAccount.id)
    .outerjoin(
        ApiToken,
        and_(
            ApiToken.user_id == UserAccount.id,
            ApiToken.id == bindparam("token"),
            ApiToken.revoked_at.is_(None),
        ),
    )
    .where(UserAccount.id == bindparam("user"), UserAccount.active)
)


@dataclass(frozen=True)
class Powers:
    """What an account may do now, by way of one token where one was shown."""

    session: str
    roles: frozenset[str]
    teams: frozenset[str]
    ends_at: datetime | None = None


def caller_now(ctx: Context, caller: Caller, now: datetime) -> Caller | None:
    """Return the caller with what is left of their powers, as of the last second.

    None where nothing is: the account was closed, the session ended everywhere, the token revoked
    or out of date.
    """
    if caller.user is None:
        return caller
    token = caller.actor.id if caller.actor.kind is ActorKind.TOKEN else ""
    powers = ctx.viewings.standings.get(
        _name(caller), now, lambda: _read(ctx, caller.user or "", token)
    )
    if powers is None or (powers.ends_at is not None and now >= powers.ends_at):
        return None
    if caller.session and caller.session != powers.session:
        return None
    return replace(caller, roles=caller.roles & powers.roles, teams=caller.teams & powers.teams)


def require_caller(ctx: Context, caller: Caller, now: datetime) -> Caller:
    """Return as `caller_now`; raises NotSignedIn where nothing is left.

    Read anew before anything is said to be lost: a session may have begun within this second.
    """
    found = caller_now(ctx, caller, now)
    if found != caller:
        ctx.viewings.standings.forget(_name(caller))
        found = caller_now(ctx, caller, now)
    if found is None:
        raise NotSignedIn("You are not signed in any more. Sign in again to go on.")
    return found


def _name(caller: Caller) -> str:
    return f"{caller.user} {caller.actor.id}"


def _read(ctx: Context, user: str, token: str) -> Powers | None:
    with ctx.read() as session:
        rows = session.execute(_STANDING, {"user": user, "token": token}).all()
    if not rows or (token and rows[0].scopes is None):
        return None
    roles = frozenset(row.name for row in rows if row.name is not None)
    teams = frozenset(row.team_id for row in rows if row.team_id is not None)
    mark, *_, scopes, ends_at = rows[0]
    return Powers(mark, roles & frozenset(scopes) if token else roles, teams, ends_at)
