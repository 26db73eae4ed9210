"""Whether a link is over, and since when: for whoever opens it, holds it, lists it or ends it.

Rule kept here: a consent link runs out after seven days or with the involvement; a person's own
link a year after the involvement's end (R29).
"""

from datetime import datetime

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from consent_service.clock import start_of_london_day
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.links import OwnLink
from consent_service.db.models.people import Involvement, Person
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain import retention as rules
from consent_service.domain.links import LinkEnd, LinkFacts, LinkKind, end_of
from consent_service.domain.retention import Facts, due
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.services import erasure_journal
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind

Found = Row[OwnLink, Person, Involvement]
"""A link with its person and involvement."""

LINKS = (
    select(OwnLink, Person, Involvement)
    .join(Person, Person.id == OwnLink.person_id)
    .join(Involvement, Involvement.id == OwnLink.involvement_id)
)


def ends_at(ctx: Context, row: OwnLink, involvement: Involvement) -> datetime | None:
    """Return the first instant at which a link is out of date, as far as is known now (R29)."""
    if row.kind is LinkKind.PARENT:
        return page_ends_at(ctx, involvement)
    ended = involvement.ended_on
    over = start_of_london_day(ended) if ended else None
    return min(filter(None, (row.expires_at, over)), default=None)


def page_ends_at(ctx: Context, involvement: Involvement) -> datetime | None:
    """Return the first instant at which no link opens a person's own page any more (R29)."""
    ended = involvement.ended_on
    if ended is None:
        return None
    facts = Facts({TriggerEvent.INVOLVEMENT_ENDED: ended})
    day = due(ctx.policies.schedule, rules.PARENT_LINKS, facts).due_on
    return None if day is None else start_of_london_day(day)


def end_now(
    ctx: Context,
    found: Found | tuple[OwnLink, Person, Involvement],
    withdrew_at: datetime | None,
    at: datetime,
) -> LinkEnd | None:
    """Return why a link is over at `at`; None while it opens. For `withdrew_at` see below."""
    row, person, involvement = found
    facts = LinkFacts(
        row.kind,
        ends_at(ctx, row, involvement),
        row.used_at,
        row.revoked_at,
        row.wrong_answers,
        withdrew_at is not None and withdrew_at >= row.made_at,
        person.died_on is not None,
    )
    return end_of(facts, at)


def last_withdrawal(session: Session, person: str, involvement: str) -> datetime | None:
    """Return when a person last withdrew anything in an involvement."""
    return session.scalar(
        select(func.max(Withdrawal.recorded_at)).where(
            Withdrawal.by_person_id == person, Withdrawal.involvement_id == involvement
        )
    )


def owe_line(uow: UnitOfWork, row: OwnLink) -> None:
    """Owe the journal the line that keeps a link closed through a restore."""
    erasure_journal.owe(uow, LineKind.ACCESS_REVOKED, {"kind": "link", "id": row.id})
