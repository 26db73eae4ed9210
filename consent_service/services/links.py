"""Links for families: made, listed and ended by the guider.

Rules kept here:
  * a link is 256 random bits; only its digest is kept, and it is shown once;
  * it is for somebody who answers for themselves, whose date of birth it can ask;
  * no link is made that would not open: for a person's own page until a year after the end (R29);
  * a new link of a kind ends the one before; a revoked one stays revoked through a restore.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from consent_service.clock import london_day
from consent_service.db.models.links import OwnLink
from consent_service.db.models.people import Involvement, InvolvementPerson, Person
from consent_service.db.queries.people import children_among
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain import retention as rules
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import Capacity
from consent_service.domain.links import TOKEN_BYTES, LinkEnd, LinkKind
from consent_service.domain.people import FamilyRole
from consent_service.domain.retention import Facts, due
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import erasure_journal
from consent_service.services.access import Caller, involvement_for, thing_for
from consent_service.services.context import Context
from consent_service.services.link_facts import (
    LINKS,
    end_now,
    ends_at,
    last_withdrawal,
    owe_line,
    page_ends_at,
)
from consent_service.services.policies import published_form
from consent_service.services.tokens import token_digest

FORM, SHORT_FORM = "vig", "vig-other-person"


@dataclass(frozen=True)
class MakeLink:
    """A link for a person. `language` and `capacity` (the guider's finding) for a consent."""

    involvement: str
    person: str
    kind: LinkKind
    language: str = "en"
    capacity: Capacity | None = None


@dataclass(frozen=True)
class LinkView:
    """A link as listed; its secret is nowhere. `end` is None while it opens."""

    id: str
    involvement: str
    person: str
    kind: LinkKind
    made_at: datetime
    opened_at: datetime | None
    ends_at: datetime | None
    end: LinkEnd | None


def make_link(ctx: Context, caller: Caller, wanted: MakeLink) -> tuple[LinkView, str]:
    """Make a link; returns it and its secret, which is never shown again.

    Raises InvalidInput by field, Conflict `no_birth_date`, `died`, `not_open` or `page_over`,
    NotFound.
    """
    secret = secrets.token_urlsafe(TOKEN_BYTES)
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.CONSENT_CAPTURE, wanted.involvement)
        involvement = uow.lock_involvement(wanted.involvement)
        form = _require_makeable(ctx, uow, involvement, wanted)
        for older in _open_ones(ctx, uow, wanted):
            _revoke(uow, caller, older, "replaced")
        row = OwnLink(
            id=new_id(),
            kind=wanted.kind,
            involvement_id=involvement.id,
            person_id=wanted.person,
            token_sha256=token_digest(secret),
            made_by=caller.id,
            made_at=uow.at,
        )
        if wanted.kind is LinkKind.CONSENT:
            row.form_id, row.language, row.capacity = form, wanted.language, wanted.capacity
            row.expires_at = _seven_days(ctx, uow.at)
        uow.session.add(row)
        uow.session.flush()
        details = {"link": wanted.kind.value, "person": wanted.person}
        uow.record(AuditEvent(EventKind.LINK_MADE, caller.actor, row.id, involvement.id, details))
        uow.after_commit(lambda: erasure_journal.acknowledge(ctx))
        return _view(ctx, row, involvement, None), secret


def list_links(ctx: Context, caller: Caller, involvement: str, person: str) -> list[LinkView]:
    """Return a person's links in an involvement, newest first, those that are over too."""
    with ctx.read() as session:
        place = involvement_for(ctx, session, caller, Permission.CONSENT_CAPTURE, involvement)
        now = ctx.clock.now()
        rows = session.scalars(
            select(OwnLink)
            .where(OwnLink.involvement_id == involvement, OwnLink.person_id == person)
            .order_by(OwnLink.made_at.desc(), OwnLink.id)
        ).all()
        owner = session.get(Person, person)
        withdrew_at = last_withdrawal(session, person, involvement)
        return [
            _view(ctx, row, place, end_now(ctx, (row, owner, place), withdrew_at, now))
            for row in rows
            if owner is not None
        ]


def end_link(ctx: Context, caller: Caller, link: str) -> LinkView:
    """End a link for good; doing it twice changes nothing."""
    with ctx.begin() as uow:
        row = uow.session.get(OwnLink, link, with_for_update=True)
        row = thing_for(ctx, caller, Permission.CONSENT_CAPTURE, row, "link")
        if row.revoked_at is None:
            _revoke(uow, caller, row, "ended")
        uow.after_commit(lambda: erasure_journal.acknowledge(ctx))
        involvement = uow.session.get_one(Involvement, row.involvement_id)
        return _view(ctx, row, involvement, LinkEnd.REVOKED)


def _require_makeable(
    ctx: Context, uow: UnitOfWork, involvement: Involvement, wanted: MakeLink
) -> str:
    """Return the form that a consent link asks; raise why this link cannot be made."""
    session = uow.session
    member = session.get(InvolvementPerson, (involvement.id, wanted.person))
    person = session.get(Person, wanted.person)
    if member is None or person is None:
        raise NotFound("This person does not belong to the involvement.", kind="person")
    if person.born_on is None:
        raise Conflict(
            "Write down their date of birth first: the link asks for it.", code="no_birth_date"
        )
    if person.died_on is not None:
        raise Conflict("This person has died.", code="died")
    over = page_ends_at(ctx, involvement)
    if wanted.kind is LinkKind.PARENT and over is not None and over <= uow.at:
        raise Conflict(
            "The work ended too long ago: a link to their page does not open any more. Give them"
            " their papers yourself, and record what they want to stop.",
            code="page_over",
        )
    short = member.role in (FamilyRole.OTHER, FamilyRole.STAFF)
    form = SHORT_FORM if short else FORM
    faults = {}
    if children_among(session, [wanted.person], london_day(uow.at)):
        faults["kind"] = "A link is for somebody who answers for themselves."
    if wanted.kind is LinkKind.CONSENT:
        if involvement.ended_on is not None:
            raise Conflict("This involvement has ended.", code="not_open")
        if wanted.capacity in (None, Capacity.LACKS_NOW):
            faults["capacity"] = "Whoever cannot decide now is asked another day, with you there."
        if wanted.language not in published_form(ctx, session, form, None)[1].words:
            faults["language"] = "The form is not published in this language."
    if faults:
        raise InvalidInput("This link cannot be made like this.", faults)
    return form


def _open_ones(ctx: Context, uow: UnitOfWork, wanted: MakeLink) -> list[OwnLink]:
    rows = uow.session.execute(
        LINKS.where(
            OwnLink.kind == wanted.kind,
            OwnLink.involvement_id == wanted.involvement,
            OwnLink.person_id == wanted.person,
        )
    ).all()
    withdrew_at = last_withdrawal(uow.session, wanted.person, wanted.involvement)
    return [found[0] for found in rows if end_now(ctx, found, withdrew_at, uow.at) is None]


def _revoke(uow: UnitOfWork, caller: Caller, row: OwnLink, reason: str) -> None:
    row.revoked_at = uow.at
    row.session_mark = row.draft = row.drafted_at = None
    owe_line(uow, row)
    event = AuditEvent(
        EventKind.LINK_REVOKED, caller.actor, row.id, row.involvement_id, {"reason": reason}
    )
    uow.record(event)


def _seven_days(ctx: Context, at: datetime) -> datetime:
    """Return when a consent link made now runs out: as many whole days on as its rule says."""
    made = london_day(at)
    facts = Facts({TriggerEvent.CONSENT_LINK_MADE: made})
    last = due(ctx.policies.schedule, rules.CONSENT_LINKS, facts).due_on
    return at if last is None else at + (last - made)


def _view(ctx: Context, row: OwnLink, involvement: Involvement, end: LinkEnd | None) -> LinkView:
    return LinkView(
        row.id,
        row.involvement_id,
        row.person_id,
        row.kind,
        row.made_at,
        row.opened_at,
        ends_at(ctx, row, involvement),
        end,
    )
