"""Words of parents that leaflets print, and whether they still may (rule 18).

Rules kept here:
  * a leaflet's quote stands on a permission for exactly these words, or is *unknown*;
  * when that permission ends, each version that prints the words and is still given is flagged for
    re-issue, once, and the IG officer is told.
"""

from collections.abc import Iterable
from datetime import date

from sqlalchemy import or_, select, update

from consent_service.clock import london_day
from consent_service.db.models.handovers import Quote
from consent_service.db.models.policies import LeafletQuote, LeafletVersion
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.roles import IG_OFFICER
from consent_service.services.notices import notify

UNKNOWN, PERMITTED = "unknown", "permitted"
_MARKS = "\"'“”‘’«» "


def permission_for(uow: UnitOfWork, words: Iterable[str]) -> dict[str, str | None]:
    """Return, for each of these quotes, the id of a permission that stands for its words."""
    today = london_day(uow.at)
    standing = uow.session.execute(
        select(Quote.id, Quote.words)
        .where(Quote.withdrawn_at.is_(None), Quote.until_on >= today)
        .order_by(Quote.until_on)
    )
    known = {_same(text): identifier for identifier, text in standing}
    return {text: known.get(_same(text)) for text in words}


def stand_on(uow: UnitOfWork, quote: Quote) -> None:
    """Let leaflets that print these words, on no permission so far, stand on this one."""
    rows = uow.session.scalars(select(LeafletQuote).where(LeafletQuote.quote_id.is_(None)))
    for row in rows:
        if _same(row.words) == _same(quote.words):
            row.quote_id, row.permission = quote.id, PERMITTED


def flag(uow: UnitOfWork, actor: Actor, quotes: Iterable[str]) -> int:
    """Flag the versions still given that print these quotes; returns how many were not flagged."""
    printing = select(LeafletQuote.leaflet_version_id).where(LeafletQuote.quote_id.in_(quotes))
    flagged = uow.session.execute(
        update(LeafletVersion)
        .where(
            LeafletVersion.id.in_(printing),
            LeafletVersion.archived_at.is_(None),
            LeafletVersion.reissue_flagged_at.is_(None),
        )
        .values(reissue_flagged_at=uow.at)
        .returning(LeafletVersion.code, LeafletVersion.version)
    ).all()
    for code, version in flagged:
        subject = f"{code}/{version}"
        uow.record(AuditEvent(EventKind.LEAFLET_REISSUE_NEEDED, actor, subject))
        notify(uow, "leaflet_reissue_needed", role=IG_OFFICER, subject=subject)
    return len(flagged)


def flag_ended(uow: UnitOfWork, actor: Actor, today: date) -> int:
    """Flag the versions that print words whose permission has run out or was withdrawn."""
    over = or_(Quote.until_on < today, Quote.withdrawn_at.is_not(None))
    printed = select(LeafletQuote.quote_id).where(LeafletQuote.quote_id.is_not(None))
    ended = uow.session.scalars(select(Quote.id).where(Quote.id.in_(printed), over)).all()
    return flag(uow, actor, ended) if ended else 0


def _same(words: str) -> str:
    """Return words without the marks and spaces that printing adds."""
    return " ".join(words.split()).strip(_MARKS)
