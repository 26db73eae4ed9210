"""Is the journal that is in place the one that this database knows?

Rules kept here: each line that the database remembers must be there, by number and where it can by
hash; a journal that agrees only with itself may be cut, emptied, or another. Nothing is changed.
"""

from sqlalchemy import func, select

from consent_service.db import schema
from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.jobs import JournalMark
from consent_service.db.models.retention import Hold
from consent_service.errors import ConsentServiceError
from consent_service.services.context import Context
from consent_service.vault.journal_line import cut_short


def require_whole_journal(ctx: Context) -> dict[str, JournalMark]:
    """Return this database's marks; raises JournalBroken unless the journal holds what it knows."""
    with ctx.read() as session:
        marks = {mark.name: mark for mark in session.scalars(select(JournalMark))}
        known = max(
            session.scalar(select(func.max(column))) or 0
            for column in (
                ErasureOrder.journal_line,
                Hold.journal_line,
                Hold.release_journal_line,
            )
        )
    for mark in marks.values():
        ctx.journal.require_contains(mark.number, mark.hash)
    last = ctx.journal.head().number
    if last < known:
        raise cut_short(known, last)
    return marks


def require_what_is_known(ctx: Context) -> None:
    """Raise JournalBroken unless the journal holds what a database that can be asked knows.

    One that is lost, away or of another version is asked nothing.
    """
    try:
        asked = schema.can_be_asked(ctx.engine)
    except ConsentServiceError:
        return
    if asked:
        require_whole_journal(ctx)
