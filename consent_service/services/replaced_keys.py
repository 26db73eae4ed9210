"""Keys of film in whose place another was put: what is committed is carried out, whatever breaks.

Rules kept here:
  * that a key is to go is noted in the transaction that ends its use, and the note goes last: no
    crash and no store that is away leaves such a key alive;
  * the journal's line is durable before a key goes; after a crash it may stand twice;
  * nothing goes without a good look at the journal, and without a note nobody looks.
"""

from sqlalchemy import delete, select

from consent_service.db.models.jobs import JournalDue
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.services import erasure_journal
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind


def owe(uow: UnitOfWork, asset: str, key: str) -> None:
    """Note that a key of this asset is to be destroyed; `destroy` follows the commit."""
    erasure_journal.owe(uow, LineKind.KEY_DESTROYED, {"order": asset, "keys": [key]})


def destroy(ctx: Context) -> int:
    """Destroy every key that is noted, oldest first; returns how many notes there were.

    Raises JournalBroken and Unavailable where nothing may be destroyed now: the notes stay.
    """
    with ctx.read() as session:
        rows = session.scalars(
            select(JournalDue)
            .where(JournalDue.kind == LineKind.KEY_DESTROYED.value)
            .order_by(JournalDue.due_at, JournalDue.id)
        ).all()
    if rows:
        ctx.standing.require_newest()
    for row in rows:
        ctx.journal.append(LineKind.KEY_DESTROYED, row.body, ctx.clock.now())
        # The asset stands where an order would: it is why the key went. Not before the line stands.
        ctx.keyring.destroy(row.body["keys"], row.body["order"], ctx.clock.now())
        with ctx.begin() as uow:
            uow.session.execute(delete(JournalDue).where(JournalDue.id == row.id))
    return len(rows)
