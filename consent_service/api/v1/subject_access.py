"""Subject access: somebody asks what is held about them; the answer is a locked file."""

from datetime import date
from functools import partial
from typing import Annotated

from flask import Response
from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import part
from consent_service.api.papers import PDF
from consent_service.api.shapes import (
    Day,
    Id,
    Line,
    Page,
    PageQuery,
    Reply,
    Request,
    Words,
)
from consent_service.domain.roles import Permission as P
from consent_service.domain.subject_access import (
    LONGEST_PASSPHRASE,
    SHORTEST_PASSPHRASE,
    RequestState,
)
from consent_service.services import subject_access as use

room = Room("subject access")


class NewSubjectAccess(Request):
    """Who wants to know about whom, and since when; without `asked_by...` the person themselves."""

    person: Id
    asked_on: Day
    asked_by_id: Id | None = None
    asked_by: Line | None = None
    authority: Words | None = None


class GivenAnswer(Request):
    """What the person got and how; without `on`, today."""

    given: Words
    on: Day | None = None


class Passphrase(Request):
    """What locks the file; it is kept nowhere."""

    passphrase: Annotated[
        str,
        Field(
            min_length=SHORTEST_PASSPHRASE,
            max_length=LONGEST_PASSPHRASE,
            pattern=r"^[\x20-\x7e]*$",
            json_schema_extra={"format": "password"},
        ),
    ]


class SubjectAccessReply(Reply):
    """A request; the answer is due on `due_on` at the latest."""

    id: Id
    person: Id
    asked_on: date
    asked_by_id: Id | None
    asked_by: str | None
    authority: str | None
    due_on: date
    state: RequestState
    given: str | None
    answered_on: date | None
    appealed_on: date | None
    closed_on: date | None
    opened_by: str


@room.post(
    "/subject-access",
    P.SUBJECT_ACCESS_MANAGE,
    SubjectAccessReply,
    body=NewSubjectAccess,
    status=201,
)
def open_subject_access(ask: Ask, body: NewSubjectAccess) -> Answer:
    """Write down that somebody asks what is held about a person."""
    view = use.open_request(ask.ctx, ask.caller, use.OpenRequest(**dict(body)))
    return Answer(_reply(view), f"/subject-access/{view.id}")


@room.get("/subject-access", P.SUBJECT_ACCESS_MANAGE, Page[SubjectAccessReply], query=PageQuery)
def list_subject_access(ask: Ask, query: PageQuery) -> Answer:
    """Return the requests: what is not over first, soonest due first."""
    read = partial(use.page_of_requests, ask.ctx, ask.caller)
    return Answer(part(read, query, SubjectAccessReply))


@room.get("/subject-access/{id}", P.SUBJECT_ACCESS_MANAGE, SubjectAccessReply)
def show_subject_access(ask: Ask, id: str) -> Answer:
    """Return one request."""
    return Answer(_reply(use.request(ask.ctx, ask.caller, id)))


@room.post(
    "/subject-access/{id}/file",
    P.SUBJECT_ACCESS_MANAGE,
    body=Passphrase,
    media=(PDF,),
    once=False,
)
def make_subject_access_file(ask: Ask, id: str, body: Passphrase) -> Response:
    """Return everything held about the person: a PDF with JSON inside, locked. None is kept."""
    response = Response(use.file(ask.ctx, ask.caller, id, body.passphrase), mimetype=PDF)
    name = f"subject-access-{id}.pdf"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@room.post(
    "/subject-access/{id}/answer",
    P.SUBJECT_ACCESS_MANAGE,
    SubjectAccessReply,
    body=GivenAnswer,
)
def answer_subject_access(ask: Ask, id: str, body: GivenAnswer) -> Answer:
    """Write down what was given, and on which day."""
    return Answer(_reply(use.answer(ask.ctx, ask.caller, id, body.given, body.on)))


@room.post("/subject-access/{id}/appeal", P.SUBJECT_ACCESS_MANAGE, SubjectAccessReply)
def appeal_subject_access(ask: Ask, id: str) -> Answer:
    """Write down that the person is not content with the answer."""
    return Answer(_reply(use.appeal(ask.ctx, ask.caller, id)))


@room.post("/subject-access/{id}/close", P.SUBJECT_ACCESS_MANAGE, SubjectAccessReply)
def close_subject_access(ask: Ask, id: str) -> Answer:
    """Close a request, or its appeal."""
    return Answer(_reply(use.close(ask.ctx, ask.caller, id)))


def _reply(view: use.RequestView) -> SubjectAccessReply:
    return SubjectAccessReply.model_validate(view)
