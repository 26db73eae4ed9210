"""Involvements, who belongs to them, their meetings, and the teams they are with.

Rules kept here: a change of facts recomputes due dates (rules 8 and 17); the row of an involvement
is the lock for all that grants or ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.accounts import TeamMember, UserAccount
from consent_service.db.models.people import (
    Involvement,
    InvolvementPerson,
    Meeting,
    MeetingPerson,
    Person,
    Team,
)
from consent_service.db.queries.people import (
    Which,
    members,
    members_of,
    responsibilities_among,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.people import (
    YOUNG,
    AgeSaid,
    FamilyRole,
    MeetingKind,
    MeetingMode,
    Responsibility,
)
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import births, disputes, retention_dates
from consent_service.services.access import (
    Caller,
    allows,
    involvement_for,
    person_for,
    reaches,
    require,
)
from consent_service.services.context import Context
from consent_service.services.people import (
    PersonView,
    one_fault,
    person_view,
)
from consent_service.vault.keyring import shard_of


@dataclass(frozen=True)
class Member:
    """Someone in an involvement. `age` is said of a child whose date of birth is not known."""

    person: str
    role: FamilyRole
    pregnant: bool = False
    age: AgeSaid | None = None


@dataclass(frozen=True)
class InvolvementDetails:
    """A family's episode of VIG with a team."""

    team: str
    guider: str
    people: tuple[Member, ...]
    started_on: date


@dataclass(frozen=True)
class InvolvementView:
    """An involvement with its people."""

    id: str
    team: str
    guider: str
    started_on: date
    ended_on: date | None
    people: tuple[tuple[Member, PersonView], ...]
    responsibilities: tuple[Responsibility, ...]
    version: int


@dataclass(frozen=True)
class MeetingDetails:
    """A meeting and what was said at it (rule 16)."""

    involvement: str
    kind: MeetingKind
    mode: MeetingMode
    held_on: date
    people: tuple[str, ...] = ()
    ready_today: bool | None = None
    what_matters: str | None = None
    questions: str | None = None
    worries: str | None = None


def start_involvement(ctx: Context, caller: Caller, details: InvolvementDetails) -> InvolvementView:
    """Begin a family's involvement with a team; raises InvalidInput with every fault."""
    with ctx.begin() as uow:
        return involvement_view(uow.session, add_involvement(ctx, uow, caller, details))


def add_involvement(
    ctx: Context, uow: UnitOfWork, caller: Caller, details: InvolvementDetails
) -> Involvement:
    """Begin an involvement within a transaction; errors as `start_involvement`."""
    require(ctx, caller, Permission.INVOLVEMENT_WRITE)
    _check_involvement(ctx, uow, caller, details)
    identifier = new_id()
    row = Involvement(
        id=identifier,
        team_id=details.team,
        guider_id=details.guider,
        shard=shard_of(identifier),
        started_on=details.started_on,
        last_entry_at=uow.at,
        created_at=uow.at,
    )
    uow.session.add(row)
    uow.session.flush()
    for member in details.people:
        _add_member(uow, row.id, member, uow.session.get_one(Person, member.person))
    uow.record(AuditEvent(EventKind.INVOLVEMENT_STARTED, caller.actor, row.id, involvement=row.id))
    uow.session.flush()
    return row


def add_member(ctx: Context, caller: Caller, involvement: str, member: Member) -> InvolvementView:
    """Add someone to an involvement; adding them twice changes nothing.

    A born baby ends the pregnancy here (rule 13). Raises InvalidInput (`born_on`) for a baby or
    sibling of whom neither a date of birth nor an age is said.
    """
    with ctx.begin() as uow:
        return involvement_view(uow.session, join(ctx, uow, caller, involvement, member))


def join(
    ctx: Context, uow: UnitOfWork, caller: Caller, involvement: str, member: Member
) -> Involvement:
    """Add someone to an involvement within a transaction; errors as `add_member`."""
    involvement_for(ctx, uow.session, caller, Permission.INVOLVEMENT_WRITE, involvement)
    row = uow.lock_involvement(involvement)
    person = person_for(ctx, uow.session, caller, Permission.PEOPLE_READ, member.person)
    if uow.session.get(InvolvementPerson, (involvement, member.person)) is not None:
        return row
    require_age(member, person)
    _add_member(uow, involvement, member, person)
    uow.record(
        AuditEvent(
            EventKind.INVOLVEMENT_PERSON_ADDED,
            caller.actor,
            involvement,
            involvement,
            {"person": member.person},
        )
    )
    uow.session.flush()
    if member.role is FamilyRole.BABY and person.born_on is not None:
        births.note_birth(ctx, uow, caller, involvement)
    return row


def end_involvement(ctx: Context, caller: Caller, involvement: str, on: date) -> InvolvementView:
    """End an involvement on a day; due dates are computed from it."""
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.INVOLVEMENT_WRITE, involvement)
        row = uow.lock_involvement(involvement)
        if on < row.started_on or on > london_day(uow.at):
            raise one_fault("ended_on", "The end lies between the start and today.")
        if row.ended_on is not None:
            raise Conflict("This involvement has ended already.", code="already_ended")
        row.ended_on = on
        _touch(row, uow.at)
        uow.record(AuditEvent(EventKind.INVOLVEMENT_ENDED, caller.actor, row.id, row.id))
        uow.session.flush()
        retention_dates.recompute(ctx, uow, row.id)
        return involvement_view(uow.session, row)


def reopen_involvement(ctx: Context, caller: Caller, involvement: str) -> InvolvementView:
    """Open an ended involvement again; due dates are computed anew (rule 17).

    A no for a child that was said in it counts in the child's others again, where somebody agreed.
    """
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.INVOLVEMENT_WRITE, involvement)
        reached = disputes.lock_reached(uow, involvement)
        row = uow.lock_involvement(involvement)
        if row.ended_on is None:
            raise Conflict("This involvement is open.", code="not_ended")
        row.ended_on = None
        _touch(row, uow.at)
        uow.record(AuditEvent(EventKind.INVOLVEMENT_REOPENED, caller.actor, row.id, row.id))
        uow.session.flush()
        disputes.open_where_parents_disagree(ctx, uow, reached)
        retention_dates.recompute(ctx, uow, row.id)
        return involvement_view(uow.session, row)


def family(ctx: Context, caller: Caller, involvement: str) -> InvolvementView:
    """Return one involvement that the caller may see."""
    with ctx.read() as session:
        row = involvement_for(ctx, session, caller, Permission.INVOLVEMENT_READ, involvement)
        return involvement_view(session, row)


def record_meeting(ctx: Context, caller: Caller, details: MeetingDetails) -> str:
    """Write down a meeting; returns its id."""
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.INVOLVEMENT_WRITE, details.involvement)
        row = uow.lock_involvement(details.involvement)
        if details.held_on > london_day(uow.at) or details.held_on < row.started_on:
            raise one_fault("held_on", "The meeting lies between the start and today.")
        belonging = {person.id for _, person in members(uow.session, row.id)}
        if not set(details.people) <= belonging:
            raise one_fault("people", "Everyone at a meeting belongs to the involvement.")
        meeting = Meeting(
            id=new_id(),
            involvement_id=row.id,
            kind=details.kind,
            mode=details.mode,
            held_on=details.held_on,
            ready_today=details.ready_today,
            what_matters=details.what_matters,
            questions=details.questions,
            worries=details.worries,
            recorded_by=caller.id,
            recorded_at=uow.at,
        )
        uow.session.add(meeting)
        uow.session.flush()
        uow.session.add_all(
            MeetingPerson(meeting_id=meeting.id, person_id=p) for p in sorted(set(details.people))
        )
        _touch(row, uow.at)
        uow.record(AuditEvent(EventKind.MEETING_RECORDED, caller.actor, meeting.id, row.id))
        return meeting.id


def create_team(ctx: Context, caller: Caller, name: str) -> str:
    """Make a team; returns its id. Raises Conflict when the name is taken."""
    require(ctx, caller, Permission.USERS_MANAGE)
    with ctx.begin() as uow:
        name = " ".join(name.split())
        if not name:
            raise one_fault("name", "Give the team a name.")
        if uow.session.scalar(select(Team.id).where(Team.name == name)):
            raise Conflict("There is a team of that name already.", code="team_exists")
        team = Team(id=new_id(), name=name, created_at=uow.at)
        uow.session.add(team)
        uow.record(AuditEvent(EventKind.TEAM_CREATED, caller.actor, team.id))
        return team.id


def teams(ctx: Context, caller: Caller) -> list[tuple[str, str]]:
    """Return (id, name) of the teams in the caller's reach."""
    with ctx.read() as session:
        rows = session.execute(select(Team.id, Team.name).order_by(Team.name))
        everyone = allows(ctx, caller, Permission.USERS_MANAGE)
        return [
            (team, name)
            for team, name in rows
            if everyone or reaches(ctx, caller, Permission.INVOLVEMENT_READ, team)
        ]


def _check_involvement(
    ctx: Context, uow: UnitOfWork, caller: Caller, details: InvolvementDetails
) -> None:
    faults: dict[str, str] = {}
    if not reaches(ctx, caller, Permission.INVOLVEMENT_WRITE, details.team):
        raise NotFound("There is no such team that you can see.", kind="team")
    works_there = uow.session.get(TeamMember, (details.team, details.guider))
    guider = uow.session.get(UserAccount, details.guider)
    if works_there is None or guider is None or not guider.active:
        faults["guider"] = "The guider must work in this team."
    if not details.people:
        faults["people"] = "Name at least one person."
    if len({m.person for m in details.people}) != len(details.people):
        faults["people"] = "Each person can be named once."
    if details.started_on > london_day(uow.at):
        faults["started_on"] = "The start cannot be in the future."
    for member in details.people:
        person = person_for(ctx, uow.session, caller, Permission.PEOPLE_READ, member.person)
        fault = _age_fault(member, person)
        if fault:
            faults["born_on"] = fault
    if faults:
        raise InvalidInput("The involvement cannot start like this.", faults)


def require_age(member: Member, person: Person) -> None:
    """Raise InvalidInput (`born_on`) for somebody young of whom no age is known."""
    fault = _age_fault(member, person)
    if fault is not None:
        raise one_fault("born_on", fault)


def _age_fault(member: Member, person: Person) -> str | None:
    """Return what to say about somebody young of whom no age is known at all; None when it is."""
    if member.role is FamilyRole.BABY and member.age is AgeSaid.ADULT:
        return "A baby is a child. Enter the date of birth, or say that it is not known."
    if member.role not in YOUNG or person.born_on is not None or person.decides_for_self:
        return None
    if member.age is None:
        return "Enter the date of birth, or say whether this is a child or an adult."
    return None


def _add_member(uow: UnitOfWork, involvement: str, member: Member, person: Person) -> None:
    """Add a row; somebody young who is said to be an adult decides for themselves from now on."""
    if member.age is AgeSaid.ADULT and member.role in YOUNG and person.born_on is None:
        person.decides_for_self, person.decides_basis = True, AgeSaid.ADULT.value
    uow.session.add(
        InvolvementPerson(
            involvement_id=involvement,
            person_id=member.person,
            role=member.role,
            pregnant=member.pregnant,
            added_at=uow.at,
        )
    )


def _touch(row: Involvement, at: datetime) -> None:
    row.last_entry_at = at
    row.version += 1


def involvement_view(session: Session, row: Involvement) -> InvolvementView:
    return involvement_views(session, [row], [row.id])[0]


def involvement_views(
    session: Session, rows: Sequence[Involvement], which: Which
) -> list[InvolvementView]:
    """Return the views of `rows`, which are those that `which` lists or selects: two queries."""
    people = members_of(session, which)
    belonging = select(InvolvementPerson.person_id).where(
        InvolvementPerson.involvement_id.in_(which)
    )
    by_child: dict[str, list[tuple[int, Responsibility]]] = {}
    for place, held in enumerate(responsibilities_among(session, belonging)):
        by_child.setdefault(held.child, []).append((place, held))
    return [_view(row, people.get(row.id, []), by_child) for row in rows]


def _view(
    row: Involvement,
    people: Sequence[tuple[InvolvementPerson, Person]],
    by_child: Mapping[str, Sequence[tuple[int, Responsibility]]],
) -> InvolvementView:
    placed = sorted(
        (place, held.id, held) for _, p in people for place, held in by_child.get(p.id, ())
    )
    return InvolvementView(
        row.id,
        row.team_id,
        row.guider_id,
        row.started_on,
        row.ended_on,
        tuple(
            (Member(m.person_id, m.role, m.pregnant), person_view(person)) for m, person in people
        ),
        tuple(held for _, _, held in placed),
        row.version,
    )
