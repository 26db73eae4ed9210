"""What happened with a family, newest first, in the clinic's words: read from the audit log.

The log holds ids and codes; names are put in when it is read, and only for people of the family
and staff who acted. What only matters to machines (keys, steps) is left out. A stop that was said
in other work stands here too, since it ends film of here, but its paper belongs to where it was
said: no entry names it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db import audit_log
from consent_service.db.models.accounts import UserAccount
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.people import Meeting, MeetingPerson
from consent_service.db.queries.film_numbers import Numbered, numbered
from consent_service.db.queries.people import members
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import ActorKind, AuditEvent, EventKind, RecordedEvent
from consent_service.domain.paging import Page, PageAsk
from consent_service.domain.people import MeetingKind, MeetingMode
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import WithdrawalScope
from consent_service.services.access import Caller, involvement_for
from consent_service.services.context import Context

K = EventKind
PHRASES: dict[EventKind, str] = {
    K.INVOLVEMENT_STARTED: "Our work together began",
    K.INVOLVEMENT_PERSON_ADDED: "{person} joined",
    K.INVOLVEMENT_ENDED: "Our work together ended",
    K.INVOLVEMENT_REOPENED: "Our work together was opened again",
    K.MEETING_RECORDED: "A meeting was written down",
    K.GOAL_RECORDED: "A goal was written down",
    K.GOAL_RATED: "A goal was rated",
    K.LEAFLET_ISSUED: "Leaflet {leaflet} was given to {person}",
    K.CONSENT_CAPTURED: "{person} answered consent form {form}",
    K.CONSENT_DECLINED: "{person} said no on consent form {form}",
    K.CONSENT_CHECKED: "A consent recorded late was checked by a second person",
    K.CONSENT_EXPIRED: "A consent ran out",
    K.LINK_MADE: "A link was made for {person}",
    K.LINK_REVOKED: "A link was ended",
    K.DISPUTE_OPENED: "The parents disagree about {purpose}; film is frozen",
    K.DISPUTE_RESOLVED: "A disagreement was settled",
    K.CONSENT_REVOKED: "The organisation ended a consent",
    K.CONSENT_INVALIDATED: "A consent was found never to have been valid",
    K.RECORDING_STORED: "{film} was stored, encrypted",
    K.RECORDING_REFUSED: "A film was refused",
    K.RECORDING_ERASED: "{film} was destroyed",
    K.CLIP_MADE: "A clip of {film} was made",
    K.STILL_MADE: "A photo was taken from {film}",
    K.DISCLOSURE_RECORDED: "Film was handed to others",
    K.DISCLOSURE_TAKEN_BACK: "Film that was handed to others was taken back",
    K.REVIEW_RECORDED: "A shared review was written down",
    K.SUMMARY_FILED: "The summary was signed and filed",
    K.HANDOVER_OFFERED: "Photos were offered",
    K.HANDOVER_ACCEPTED: "Photos were accepted",
    K.HANDOVER_DECLINED: "Photos were declined",
    K.FEEDBACK_RECORDED: "Feedback was written down",
    K.QUOTE_PERMITTED: "A quote was permitted",
    K.QUOTE_WITHDRAWN: "Permission for a quote was taken back",
    K.WITHDRAWAL_RECORDED: "Consent for film of {person} was withdrawn: {scope}",
    K.WITHDRAWAL_CANCELLED: "A withdrawal was cancelled",
    K.ERASURE_COMPLETED: "An erasure was completed",
    K.CERTIFICATE_ISSUED: "A certificate of destruction was issued",
    K.HOLD_PLACED: "A hold was placed",
    K.HOLD_RELEASED: "A hold was released",
}
"""What stands in a family's story, in the clinic's words."""

SHOWN = tuple(PHRASES)
SCOPES = {
    WithdrawalScope.EVERYTHING.value: "everything",
    WithdrawalScope.PURPOSES.value: "some uses of film",
    WithdrawalScope.ASSETS.value: "some film",
}
_FIELD = re.compile(r"\{([a-z]+)\}")
_VERSION = re.compile(r"([A-Za-z][A-Za-z0-9-]*)/([0-9]+)")


@dataclass(frozen=True)
class TimelineEntry:
    """One thing that happened. `subject` is the id it is about, for links, while there is one."""

    at: datetime
    kind: EventKind
    said: str
    subject: str | None


@dataclass(frozen=True)
class MeetingView:
    """A meeting and what was said at it."""

    id: str
    kind: MeetingKind
    mode: MeetingMode
    held_on: date
    ready_today: bool | None
    what_matters: str | None
    questions: str | None
    worries: str | None
    people: tuple[str, ...]


def page_of_story(
    ctx: Context, caller: Caller, involvement: str, ask: PageAsk
) -> Page[TimelineEntry]:
    """Return a family's story in one order, newest first: the same few statements, however long."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.INVOLVEMENT_READ, involvement)
        wanted = audit_log.EntryFilter(kinds=SHOWN, involvement=involvement)
        page = audit_log.entries(session, wanted, ask.cursor, ask.rows)
        names = _names(session, involvement, [e.recorded.event for e in page.entries])
        names |= {code: f"“{use.label}”" for code, use in ctx.policies.purposes.items()}
        films = numbered(session, [involvement])
        entries = [_entry(one.recorded, names, films) for one in page.entries]
        return Page(
            tuple(_without_acts_of_others(session, involvement, entries)),
            page.next_cursor,
            page.previous_cursor,
        )


def meetings(ctx: Context, caller: Caller, involvement: str) -> list[MeetingView]:
    """Return a family's meetings, newest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.INVOLVEMENT_READ, involvement)
        rows = session.scalars(
            select(Meeting)
            .where(Meeting.involvement_id == involvement)
            .order_by(Meeting.held_on.desc(), Meeting.recorded_at.desc())
        ).all()
        present: dict[str, list[str]] = {}
        for member in session.scalars(
            select(MeetingPerson).where(MeetingPerson.meeting_id.in_([row.id for row in rows]))
        ):
            present.setdefault(member.meeting_id, []).append(member.person_id)
        return [_meeting(row, present.get(row.id, [])) for row in rows]


def names_of_staff(ctx: Context, ids: frozenset[str]) -> dict[str, str]:
    """Return the display names of these accounts."""
    with ctx.read() as session:
        return _staff(session, ids)


def _meeting(row: Meeting, people: list[str]) -> MeetingView:
    return MeetingView(
        row.id,
        row.kind,
        row.mode,
        row.held_on,
        row.ready_today,
        row.what_matters,
        row.questions,
        row.worries,
        tuple(sorted(people)),
    )


def _names(session: Session, involvement: str, events: list[AuditEvent]) -> dict[str, str]:
    family = {person.id: person.full_name for _, person in members(session, involvement)}
    acted = frozenset(e.actor.id for e in events if e.actor.kind is ActorKind.USER)
    return family | _staff(session, acted)


def _staff(session: Session, ids: frozenset[str]) -> dict[str, str]:
    rows = session.execute(
        select(UserAccount.id, UserAccount.display_name).where(UserAccount.id.in_(ids))
    )
    return {row.id: row.display_name for row in rows}


def _entry(
    recorded: RecordedEvent, names: Mapping[str, str], films: Mapping[str, Numbered]
) -> TimelineEntry:
    event = recorded.event
    film = films.get(event.subject or "")
    said = _said(event, names, f"film {film.number}" if film else "film")
    gone = film is not None and film.state is AssetState.ERASED
    return TimelineEntry(recorded.at, event.kind, said, None if gone else event.subject)


def _without_acts_of_others(
    session: Session, involvement: str, entries: Sequence[TimelineEntry]
) -> Iterator[TimelineEntry]:
    """Yield the entries; of a stop that was said in other work, without the id of its act."""
    stops = [one.subject for one in entries if one.kind is K.WITHDRAWAL_RECORDED]
    ours = set(
        session.scalars(
            select(Withdrawal.id).where(
                Withdrawal.id.in_(stops), Withdrawal.involvement_id == involvement
            )
        )
    )
    for one in entries:
        elsewhere = one.kind is K.WITHDRAWAL_RECORDED and one.subject not in ours
        yield replace(one, subject=None) if elsewhere else one


def _said(event: AuditEvent, names: Mapping[str, str], film: str) -> str:
    """Return the event's phrase with its people's names; what is not known is "someone"."""

    def filled(found: re.Match[str]) -> str:
        if found[1] == "film":
            return film
        value = event.details.get(found[1])
        if value is None:
            return "someone" if found[1] == "person" else "something"
        text = str(value)
        if found[1] == "scope":
            return SCOPES.get(text, text)
        return names.get(text) or _VERSION.sub(r"\1, version \2", text).replace("_", " ")

    said = _FIELD.sub(filled, PHRASES[event.kind])
    said = said[:1].upper() + said[1:]
    by = names.get(event.actor.id) if event.actor.kind is ActorKind.USER else None
    return f"{said} (by {by})" if by else said
