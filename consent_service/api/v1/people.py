"""People and parental responsibility. Searching is a POST: names and NHS numbers are in no URL."""

from dataclasses import replace
from datetime import date
from typing import Annotated

from flask import request
from pydantic import Field, WithJsonSchema
from werkzeug.exceptions import PreconditionRequired

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import page
from consent_service.api.shapes import (
    CODE_PATTERN,
    NO_NUL,
    Code,
    Day,
    Id,
    Line,
    Made,
    Maybe,
    Page,
    PageQuery,
    PageSize,
    Reply,
    Request,
    Whole,
)
from consent_service.domain.information_needs import Need
from consent_service.domain.people import Basis
from consent_service.domain.roles import Permission as P
from consent_service.errors import Stale
from consent_service.services import people as use

room = Room("people")
MOST_FOUND = 1000

Needs = Annotated[
    dict[Code, Maybe],
    Field(max_length=20),
    WithJsonSchema(
        {
            "type": "object",
            "description": "What someone needs to be informed: kind of need, and its words or "
            f"`yes`. Pages know {', '.join(f'`{need}`' for need in Need)}, `language`, `words`.",
            "maxProperties": 20,
            "propertyNames": {"pattern": CODE_PATTERN},
            "additionalProperties": {"type": "string", "pattern": NO_NUL, "maxLength": 4000},
        },
        "validation",
    ),
]


class PersonFields(Request):
    """What may be written down about a person."""

    born_on: Day | None = None
    died_on: Day | None = None
    nhs_number: Annotated[str, Field(pattern=r"^[0-9][0-9 -]{8,14}[0-9]$")] | None = None
    information_needs: Needs = Field(default_factory=dict)
    safe_contact: Maybe | None = None
    decides_for_self: bool = False
    decides_basis: Line | None = None


class NewPerson(PersonFields):
    """A person to write down."""

    team: Id
    full_name: Line


class PersonChanges(PersonFields):
    """What changes; what is left out stays as it is, and so does the name where it is null."""

    full_name: Line | None = None


class PersonReply(Reply):
    """A person; `version` is also the ETag."""

    id: Id
    team: Id
    full_name: str
    born_on: date | None
    died_on: date | None
    nhs_number: str | None
    information_needs: dict[str, str]
    safe_contact: str | None
    decides_for_self: bool
    decides_basis: str | None
    version: int


class Search(PageQuery):
    """Part of a name, or a whole NHS number."""

    text: Line
    limit: Annotated[PageSize, Whole] = 50


class NewResponsibility(Request):
    """Who may decide for this child, on what ground; the day `until_on` no longer counts."""

    holder: Id
    basis: Annotated[Basis, Field(strict=False)]
    from_on: Day
    until_on: Day | None = None
    evidence: Maybe | None = None
    court_limits: Maybe | None = None


class EndOfResponsibility(Request):
    """From which day it no longer counts."""

    on: Day


@room.post("/people", P.PEOPLE_WRITE, PersonReply, body=NewPerson, status=201)
def create_person(ask: Ask, body: NewPerson) -> Answer:
    """Write down a person."""
    view = use.create_person(ask.ctx, ask.caller, use.PersonDetails(**dict(body)))
    return Answer(PersonReply.model_validate(view), f"/people/{view.id}")


@room.post("/people/search", P.PEOPLE_READ, Page[PersonReply], body=Search, once=False)
def find_people(ask: Ask, body: Search) -> Answer:
    """Find people by part of their name or by their whole NHS number."""
    found = use.find_people(ask.ctx, ask.caller, body.text, MOST_FOUND)
    return Answer(page(found, PersonReply, body, lambda view: view.id))


@room.get("/people/{id}", P.PEOPLE_READ, PersonReply)
def read_person(ask: Ask, id: str) -> Answer:
    """Read one person."""
    return Answer(PersonReply.model_validate(use.person(ask.ctx, ask.caller, id)))


@room.patch("/people/{id}", P.PEOPLE_WRITE, PersonReply, body=PersonChanges, versioned=True)
def change_person(ask: Ask, id: str, body: PersonChanges) -> Answer:
    """Change what is written down about a person; If-Match says which version was seen."""
    present = use.person(ask.ctx, ask.caller, id)
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send the ETag that you last saw in If-Match.")
    if not request.if_match.contains(str(present.version)):
        raise Stale("Someone changed this in the meantime. Load it again.", current=present.version)
    details = use.PersonDetails(
        present.team,
        present.full_name,
        present.born_on,
        present.nhs_number,
        present.information_needs,
        present.safe_contact,
        present.died_on,
        present.decides_for_self,
        present.decides_basis,
    )
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    changes["full_name"] = body.full_name or present.full_name
    view = use.change_person(ask.ctx, ask.caller, id, replace(details, **changes), present.version)
    return Answer(PersonReply.model_validate(view))


@room.post(
    "/people/{id}/parental-responsibility",
    P.PEOPLE_WRITE,
    Made,
    body=NewResponsibility,
    status=201,
)
def record_responsibility(ask: Ask, id: str, body: NewResponsibility) -> Answer:
    """Write down who may decide for this child."""
    details = use.ResponsibilityDetails(child=id, **dict(body))
    return Answer(Made(id=use.record_responsibility(ask.ctx, ask.caller, details)))


@room.post(
    "/parental-responsibility/{id}/end", P.PEOPLE_WRITE, body=EndOfResponsibility, status=204
)
def end_responsibility(ask: Ask, id: str, body: EndOfResponsibility) -> Answer:
    """End parental responsibility; earlier decisions stand."""
    use.end_responsibility(ask.ctx, ask.caller, id, body.on)
    return Answer()
