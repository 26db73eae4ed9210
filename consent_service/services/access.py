"""Who is asking, and whether they may.

Rules kept here:
  * a role grants verbs, its scope says how far: own team or the organisation;
  * another team's things look exactly like things that do not exist, and the attempt is recorded;
  * sensitive acts need a recent sign-in (`fresh`);
  * a link reaches one person's own words and acts in one involvement, by the few verbs that its
    kind is listed with here, and nothing that anybody else said or did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session, object_session

from consent_service.db.models.people import Involvement, Person
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.links import LinkKind
from consent_service.domain.roles import Permission, Role, Scope
from consent_service.errors import NotFound, Refused
from consent_service.services.context import Context


class OfFamily(Protocol):
    """A row that belongs to an involvement."""

    @property
    def involvement_id(self) -> str: ...


Thing = TypeVar("Thing", bound=OfFamily)

_P = Permission
OPENED_BY: Mapping[LinkKind, Mapping[Permission, Permission]] = {
    LinkKind.CONSENT: {
        _P.LEAFLET_READ: _P.LEAFLET_READ,
        _P.LEAFLET_GIVE: _P.OWN_CONSENT_RECORD,
        _P.CONSENT_CAPTURE: _P.OWN_CONSENT_RECORD,
        _P.CONSENT_READ: _P.OWN_CONSENT_READ,
    },
    LinkKind.PARENT: {
        _P.LEAFLET_READ: _P.LEAFLET_READ,
        _P.CONSENT_READ: _P.OWN_CONSENT_READ,
        _P.CERTIFICATE_READ: _P.OWN_CONSENT_READ,
        _P.WITHDRAWAL_PREVIEW: _P.OWN_WITHDRAWAL_RECORD,
        _P.WITHDRAWAL_RECORD: _P.OWN_WITHDRAWAL_RECORD,
        _P.WITHDRAWAL_CANCEL: _P.OWN_WITHDRAWAL_RECORD,
    },
}
"""What each kind of link may do to its own involvement: the verb asked -> the link holder's."""


@dataclass(frozen=True)
class Own:
    """What a link opens: the words and acts of one person in one involvement.

    `mark` is that of the browser that opened it.
    """

    link: str
    kind: LinkKind
    person: str
    involvement: str
    mark: str = field(default="", repr=False)


@dataclass(frozen=True)
class Caller:
    """Who calls a use case: a member of staff, a program's token, a parent's link or a job.

    `user` is the account that is answerable (None for jobs and links), `teams` the ids of its
    teams, `fresh` whether they proved who they are within the last minutes. `own` says what a
    link opens; staff, programs and jobs have none. `session` is the mark of a browser's session,
    which ends with it everywhere.
    """

    actor: Actor
    user: str | None = None
    roles: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    fresh: bool = True
    own: Own | None = None
    session: str = field(default="", repr=False)

    @property
    def id(self) -> str:
        """The id under which acts are recorded."""
        return self.user or self.actor.id


def job_caller(name: str) -> Caller:
    """Return the caller of a scheduled job."""
    return Caller(Actor(ActorKind.JOB, name), roles=frozenset({"scheduled_job"}))


def roles_of(ctx: Context, caller: Caller) -> tuple[Role, ...]:
    """Return the caller's roles as policy has them; a role that policy dropped grants nothing."""
    return tuple(
        ctx.policies.roles[code] for code in sorted(caller.roles) if code in ctx.policies.roles
    )


def allows(ctx: Context, caller: Caller, permission: Permission) -> bool:
    """Tell whether one of the caller's roles has the verb."""
    return any(role.allows(permission) for role in roles_of(ctx, caller))


def require(ctx: Context, caller: Caller, permission: Permission) -> None:
    """Raise Refused (`role`) unless one of the caller's roles has the verb."""
    if not allows(ctx, caller, permission):
        raise Refused(
            f"Your role does not include {permission.value}. Ask your administrator who does this.",
            code="role",
            permission=permission.value,
        )


def reaches(ctx: Context, caller: Caller, permission: Permission, team: str) -> bool:
    """Tell whether a role that has the verb also reaches things of this team."""
    return any(
        role.allows(permission)
        and (
            role.scope is Scope.ORGANISATION or (role.scope is Scope.TEAM and team in caller.teams)
        )
        for role in roles_of(ctx, caller)
    )


def teams_reached(ctx: Context, caller: Caller, permission: Permission) -> frozenset[str] | None:
    """Return the teams for which the caller has the verb; None means every team.

    For queries, which must not read what the caller may not see.
    """
    scopes = {role.scope for role in roles_of(ctx, caller) if role.allows(permission)}
    if Scope.ORGANISATION in scopes:
        return None
    return caller.teams if Scope.TEAM in scopes else frozenset()


def require_fresh(caller: Caller) -> None:
    """Raise Refused (`sign_in_again`) unless the caller proved who they are just now."""
    if not caller.fresh:
        raise Refused("Sign in again to do this.", code="sign_in_again")


def involvement_for(
    ctx: Context, session: Session, caller: Caller, permission: Permission, involvement: str
) -> Involvement:
    """Return the involvement if the caller may do `permission` to it.

    Raises Refused (`role`) without the verb, and the same NotFound for a foreign team's involvement
    as for one that does not exist. Other teams' ids are recorded by `record_refusal`.
    """
    _require_verb(ctx, caller, permission)
    row = session.get(Involvement, involvement)
    if caller.own is not None:
        if row is None or row.id != caller.own.involvement:
            raise _not_found("involvement")
        return row
    if row is None or not reaches(ctx, caller, permission, row.team_id):
        raise _not_found("involvement")
    return row


def require_own(caller: Caller) -> Own:
    """Return what a caller's link opens; raises NotFound for whoever came without one."""
    if caller.own is None:
        raise NotFound("There is no such page of yours.", kind="own_page")
    return caller.own


def require_themselves(caller: Caller, person: str) -> None:
    """Raise NotFound when a link is used for anybody but its own person; staff are not asked."""
    if caller.own is not None and caller.own.person != person:
        raise _not_found("person")


def thing_for(
    ctx: Context, caller: Caller, permission: Permission, row: Thing | None, kind: str
) -> Thing:
    """Return a row that was looked up if the caller may do `permission` to its involvement.

    Raises as `involvement_for`; another team's is called what was asked for, as one that does not
    exist.
    """
    _require_verb(ctx, caller, permission)
    session = object_session(row) if row is not None else None
    if row is None or session is None:
        raise _not_found(kind)
    if caller.own is not None:
        if row.involvement_id != caller.own.involvement or _said_by(row) != caller.own.person:
            raise _not_found(kind)
        return row
    team = session.get_one(Involvement, row.involvement_id).team_id
    if not reaches(ctx, caller, permission, team):
        raise _not_found(kind)
    return row


def person_for(
    ctx: Context, session: Session, caller: Caller, permission: Permission, person: str
) -> Person:
    """Return the person if the caller may do `permission` to them; errors as above."""
    require(ctx, caller, permission)
    row = session.get(Person, person)
    if row is None or not reaches(ctx, caller, permission, row.team_id):
        raise _not_found("person")
    return row


def _require_verb(ctx: Context, caller: Caller, permission: Permission) -> None:
    """Raise Refused (`role`) without the verb; a link's holder needs the one that stands for it."""
    if caller.own is not None:
        permission = OPENED_BY[caller.own.kind].get(permission, permission)
    require(ctx, caller, permission)


def _said_by(row: OfFamily) -> str | None:
    """Return whose word or act a row is: who withdrew, or who answered."""
    found = getattr(row, "by_person_id", None) or getattr(row, "person_id", None)
    return None if found is None else str(found)


def record_refusal(ctx: Context, caller: Caller, what: str, code: str) -> None:
    """Write down that someone was refused `what` (an id or route code), in its own transaction.

    Called by the web and API error handlers after the use case's transaction rolled back.
    """
    with ctx.begin() as uow:
        uow.record(
            AuditEvent(EventKind.ACCESS_REFUSED, caller.actor, what, details={"reason": code})
        )


def _not_found(kind: str) -> NotFound:
    return NotFound(f"There is no such {kind} that you can see.", kind=kind)
