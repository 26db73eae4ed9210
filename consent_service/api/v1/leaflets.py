"""Leaflets and their versions, and who was given which."""

from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import page
from consent_service.api.shapes import (
    Code,
    Day,
    Id,
    Language,
    Page,
    PageQuery,
    Reply,
    Request,
    Version,
)
from consent_service.domain.leaflets import LeafletRoute, LeafletStatus
from consent_service.domain.roles import Permission as P
from consent_service.services import leaflets as use

room = Room("leaflets")


class LeafletReply(Reply):
    """A leaflet version; from `archive_on` it is no longer given.

    `reissue_since` is when it was found to print words that may not be printed any more.
    """

    code: str
    version: int
    issued_on: date
    archive_on: date
    status: LeafletStatus
    title: str
    owner: str
    control_line: str
    languages: tuple[str, ...]
    reissue_since: datetime | None


class LeafletWordsReply(LeafletReply):
    """A leaflet version with its words in one language, and their digest."""

    language: str
    text: str
    sha256: str
    notes: tuple[str, ...]


class WordsQuery(Request):
    """In which language."""

    language: Language = "en"


class NewIssue(Request):
    """A leaflet that was given; without `version`, the one that was current."""

    involvement: Id
    person: Id
    code: Code
    version: Version | None = None
    given_on: Day
    how: Annotated[LeafletRoute, Field(strict=False)]
    language: Language = "en"


class IssueReply(Reply):
    """A leaflet given to someone."""

    id: Id
    involvement: Id
    person: Id
    code: str
    version: int
    language: str
    given_on: date
    how: str
    recorded_late: bool


@room.get("/leaflets", P.LEAFLET_READ, Page[LeafletReply], query=PageQuery)
def list_leaflets(ask: Ask, query: PageQuery) -> Answer:
    """List every leaflet version, by code and version."""
    found = use.list_leaflets(ask.ctx)
    return Answer(page(found, LeafletReply, query, lambda v: f"{v.code}/{v.version}"))


@room.get("/leaflets/{code}/versions/{n}", P.LEAFLET_READ, LeafletWordsReply, query=WordsQuery)
def read_leaflet(ask: Ask, code: str, n: int, query: WordsQuery) -> Answer:
    """Read the words of a leaflet version."""
    found = use.leaflet_text(ask.ctx, code, n, query.language)
    summary = LeafletReply.model_validate(found.view).model_dump()
    return Answer(
        LeafletWordsReply(
            **summary,
            language=found.language,
            text=found.text,
            sha256=found.sha256,
            notes=found.notes,
        )
    )


@room.post("/leaflet-issues", P.LEAFLET_GIVE, IssueReply, body=NewIssue, status=201)
def give_leaflet(ask: Ask, body: NewIssue) -> Answer:
    """Write down that a leaflet was given; an archived one is refused, naming the current."""
    view = use.give_leaflet(ask.ctx, ask.caller, use.GiveLeaflet(**dict(body)))
    return Answer(IssueReply.model_validate(view))
