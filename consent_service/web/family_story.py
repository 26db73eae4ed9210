"""What happened with a family: the newest on its page, all of it a page at a time."""

from dataclasses import dataclass
from typing import Any

from flask import render_template, url_for

from consent_service.domain.audit import EventKind
from consent_service.domain.paging import PageAsk
from consent_service.domain.roles import Permission
from consent_service.services import involvements, timeline
from consent_service.services.timeline import TimelineEntry
from consent_service.web import here
from consent_service.web.here import caller, ctx

NEWEST = 10
K, P = EventKind, Permission
LINKS: dict[EventKind, tuple[str, str, Permission]] = {
    K.CONSENT_CAPTURED: ("consents.act", "act", P.CONSENT_READ),
    K.CONSENT_DECLINED: ("consents.act", "act", P.CONSENT_READ),
    K.RECORDING_STORED: ("films.watch", "asset", P.FILM_LIST),
    K.CLIP_MADE: ("films.watch", "asset", P.FILM_LIST),
    K.STILL_MADE: ("films.watch", "asset", P.FILM_LIST),
    K.WITHDRAWAL_RECORDED: ("withdrawals.receipt", "identifier", P.WITHDRAWAL_PREVIEW),
    K.ERASURE_COMPLETED: ("certificates.order", "order", P.ERASURE_READ),
}
"""Where an entry leads: the page, what its subject is called there, and who may open it."""


@dataclass(frozen=True)
class StoryLine:
    """One thing that happened; `href` is None when there is nothing to open."""

    entry: TimelineEntry
    href: str | None


@dataclass(frozen=True)
class Story:
    """A page of what happened, and the cursors of the pages beside it."""

    lines: tuple[StoryLine, ...]
    next: str | None
    previous: str | None


def story(involvement: str, ask: PageAsk) -> Story:
    """Return a page of what happened with a family."""
    page = timeline.page_of_story(ctx(), caller(), involvement, ask)
    lines = tuple(StoryLine(entry, _href(entry)) for entry in page.items)
    return Story(lines, page.next, page.previous)


def show_story(involvement: str) -> str:
    """Show all that happened with a family, a page at a time."""
    view = involvements.family(ctx(), caller(), involvement)
    return render_template(
        "families/story.html",
        family=view,
        named=[person.full_name for _, person in view.people],
        story=story(involvement, here.page_asked()),
    )


def _href(entry: TimelineEntry) -> str | None:
    if entry.subject is None or entry.kind not in LINKS:
        return None
    endpoint, called, needed = LINKS[entry.kind]
    subject: dict[str, Any] = {called: entry.subject}
    return url_for(endpoint, **subject) if here.may(needed) else None
