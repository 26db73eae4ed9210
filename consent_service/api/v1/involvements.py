"""Involvements, their meetings and what is kept of them."""

from datetime import date
from functools import partial
from typing import Annotated

from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import page, part
from consent_service.api.shapes import Day, Id, Made, Page, PageQuery, Reply, Request, Words
from consent_service.api.v1.assets import AssetReply
from consent_service.api.v1.people import PersonReply
from consent_service.domain.people import AgeSaid, Basis, FamilyRole, MeetingKind, MeetingMode
from consent_service.domain.roles import Permission as P
from consent_service.services import assets, family_list
from consent_service.services import involvements as use

room = Room("involvements")


class NewMember(Request):
    """Someone in an involvement; `age` of a baby or sibling without a date of birth is needed."""

    person: Id
    role: Annotated[FamilyRole, Field(strict=False)]
    pregnant: bool = False
    age: Annotated[AgeSaid, Field(strict=False)] | None = None


class NewInvolvement(Request):
    """A family's episode with a team; `guider` is the id of an account."""

    team: Id
    guider: Id
    people: Annotated[tuple[NewMember, ...], Field(min_length=1, max_length=50)]
    started_on: Day


class EndInvolvement(Request):
    """The day on which it ended."""

    on: Day


class NewMeeting(Request):
    """A meeting that was held. `ready_today` false means that nothing is filmed that day."""

    involvement: Id
    kind: Annotated[MeetingKind, Field(strict=False)]
    mode: Annotated[MeetingMode, Field(strict=False)]
    held_on: Day
    people: Annotated[tuple[Id, ...], Field(max_length=50)] = ()
    ready_today: bool | None = None
    what_matters: Words | None = None
    questions: Words | None = None
    worries: Words | None = None


class MemberReply(Reply):
    """Someone in an involvement, and what they are in it."""

    role: FamilyRole
    pregnant: bool
    person: PersonReply


class ResponsibilityReply(Reply):
    """Who may decide for whom."""

    id: Id
    child: Id
    holder: Id
    basis: Basis
    from_on: date
    until_on: date | None
    may_overrule: bool


class InvolvementReply(Reply):
    """A family's episode with a team."""

    id: Id
    team: Id
    guider: Id
    started_on: date
    ended_on: date | None
    people: tuple[MemberReply, ...]
    responsibilities: tuple[ResponsibilityReply, ...]
    version: int

    @classmethod
    def of(cls, view: use.InvolvementView) -> "InvolvementReply":
        """Return the reply for a view."""
        members = tuple(
            MemberReply(
                role=member.role,
                pregnant=member.pregnant,
                person=PersonReply.model_validate(person),
            )
            for member, person in view.people
        )
        held = tuple(ResponsibilityReply.model_validate(r) for r in view.responsibilities)
        return cls(
            id=view.id,
            team=view.team,
            guider=view.guider,
            started_on=view.started_on,
            ended_on=view.ended_on,
            people=members,
            responsibilities=held,
            version=view.version,
        )


@room.get("/involvements", P.INVOLVEMENT_READ, Page[InvolvementReply], query=PageQuery)
def list_involvements(ask: Ask, query: PageQuery) -> Answer:
    """List the involvements in reach: open ones first, then the newest."""
    read = partial(family_list.page_of_families, ask.ctx, ask.caller)
    return Answer(part(read, query, InvolvementReply, InvolvementReply.of))


@room.post("/involvements", P.INVOLVEMENT_WRITE, InvolvementReply, body=NewInvolvement, status=201)
def start_involvement(ask: Ask, body: NewInvolvement) -> Answer:
    """Begin a family's involvement with a team."""
    people = tuple(use.Member(m.person, m.role, m.pregnant, m.age) for m in body.people)
    details = use.InvolvementDetails(body.team, body.guider, people, body.started_on)
    view = use.start_involvement(ask.ctx, ask.caller, details)
    return Answer(InvolvementReply.of(view), f"/involvements/{view.id}")


@room.get("/involvements/{id}", P.INVOLVEMENT_READ, InvolvementReply)
def read_involvement(ask: Ask, id: str) -> Answer:
    """Read one involvement."""
    return Answer(InvolvementReply.of(use.family(ask.ctx, ask.caller, id)))


@room.post("/involvements/{id}/end", P.INVOLVEMENT_WRITE, InvolvementReply, body=EndInvolvement)
def end_involvement(ask: Ask, id: str, body: EndInvolvement) -> Answer:
    """End an involvement; due dates are counted from it."""
    return Answer(InvolvementReply.of(use.end_involvement(ask.ctx, ask.caller, id, body.on)))


@room.post("/involvements/{id}/reopen", P.INVOLVEMENT_WRITE, InvolvementReply)
def reopen_involvement(ask: Ask, id: str) -> Answer:
    """Open an ended involvement again."""
    return Answer(InvolvementReply.of(use.reopen_involvement(ask.ctx, ask.caller, id)))


@room.get("/involvements/{id}/assets", P.FILM_LIST, Page[AssetReply], query=PageQuery)
def list_assets(ask: Ask, id: str, query: PageQuery) -> Answer:
    """List the recordings, clips and stills of an involvement, erased ones included."""
    found = assets.assets(ask.ctx, ask.caller, id)
    return Answer(page(found, AssetReply, query, lambda view: view.id))


@room.post("/meetings", P.INVOLVEMENT_WRITE, Made, body=NewMeeting, status=201)
def record_meeting(ask: Ask, body: NewMeeting) -> Answer:
    """Write down a meeting."""
    details = use.MeetingDetails(**dict(body))
    return Answer(Made(id=use.record_meeting(ask.ctx, ask.caller, details)))
