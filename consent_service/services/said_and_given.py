"""What a family said and what left the service, read for its page: feedback, quotes, disclosures.

Rules kept here: only who may write these down may read them; nothing here changes anything.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from consent_service.db.models.handovers import Disclosure, Feedback, Quote
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, involvement_for
from consent_service.services.context import Context


@dataclass(frozen=True)
class FeedbackView:
    """What a parent said. `person` is None once it was made anonymous."""

    id: str
    person: str | None
    words: str
    given_on: date


@dataclass(frozen=True)
class QuoteView:
    """Leave to print exact words; it stands until `until_on`, unless withdrawn before."""

    id: str
    person: str
    words: str
    audience: str
    until_on: date
    permitted_at: datetime
    withdrawn_at: datetime | None

    def stands_on(self, day: date) -> bool:
        """Tell whether the words may be printed on a day."""
        return self.withdrawn_at is None and day <= self.until_on


@dataclass(frozen=True)
class DisclosureView:
    """Film or a photo that left the service."""

    id: str
    asset: str
    purpose: str
    recipient: str
    disclosed_on: date
    until_on: date | None
    taken_back_on: date | None


def feedback(ctx: Context, caller: Caller, involvement: str) -> list[FeedbackView]:
    """Return what a family said, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.FEEDBACK_WRITE, involvement)
        rows = session.scalars(
            select(Feedback)
            .where(Feedback.involvement_id == involvement)
            .order_by(Feedback.recorded_at)
        )
        return [FeedbackView(row.id, row.person_id, row.words, row.given_on) for row in rows]


def quotes(ctx: Context, caller: Caller, involvement: str) -> list[QuoteView]:
    """Return every permission that a family gave to print words, ended ones too."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.QUOTE_WRITE, involvement)
        rows = session.scalars(
            select(Quote).where(Quote.involvement_id == involvement).order_by(Quote.permitted_at)
        )
        return [
            QuoteView(
                row.id,
                row.person_id,
                row.words,
                row.audience,
                row.until_on,
                row.permitted_at,
                row.withdrawn_at,
            )
            for row in rows
        ]


def disclosures(ctx: Context, caller: Caller, involvement: str) -> list[DisclosureView]:
    """Return what of a family left the service, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.DISCLOSURE_WRITE, involvement)
        rows = session.scalars(
            select(Disclosure)
            .where(Disclosure.involvement_id == involvement)
            .order_by(Disclosure.recorded_at)
        )
        return [
            DisclosureView(
                row.id,
                row.asset_id,
                row.purpose,
                row.recipient,
                row.disclosed_on,
                row.until_on,
                row.taken_back_on,
            )
            for row in rows
        ]
