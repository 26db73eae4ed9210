"""One transaction: a session, the audit entries that belong to it, effects for after the commit.

Rules kept here:
  * no change without an audit event: `record` writes the entry in the same transaction;
  * effects (keys, files, messages) run only once the commit stood;
  * whatever grants, ends, stores, holds, releases or starts a step first locks the involvement.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from consent_service.db import audit_log
from consent_service.db.engine import READ_ONLY
from consent_service.db.models.people import Involvement
from consent_service.domain.audit import AuditEvent
from consent_service.errors import NotFound, Unavailable

Effect = Callable[[], object]


class UnitOfWork:
    """What a use case works with between begin and commit; `at` is its one reading of the clock."""

    def __init__(self, session: Session, at: datetime) -> None:
        self.session = session
        self.at = at
        self.effects: list[Effect] = []

    def record(self, event: AuditEvent) -> audit_log.AppendedEntry:
        """Write an audit entry in this transaction; if it cannot be written, nothing happens."""
        return audit_log.append(self.session, event, self.at)

    def after_commit(self, effect: Effect) -> None:
        """Run `effect` once the transaction is committed, and only then."""
        self.effects.append(effect)

    def lock_involvement(self, involvement: str) -> Involvement:
        """Lock and return the involvement's row; raises NotFound when there is none.

        What was read of it before the lock is read again: another transaction may have moved the
        consent epoch while this one waited, and counting on from a stale epoch would hide an end.
        """
        row = self.session.scalar(
            select(Involvement)
            .where(Involvement.id == involvement)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if row is None:
            raise NotFound(f"There is no involvement {involvement}.")
        return row


@contextmanager
def begin(engine: Engine, at: datetime) -> Iterator[UnitOfWork]:
    """Open a writing transaction; commit when the block ends well, roll back when it raises.

    Raises Unavailable when the database cannot be reached or stays locked.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            uow = UnitOfWork(session, at)
            yield uow
    except OperationalError as fault:
        raise _unavailable() from fault
    for effect in uow.effects:
        effect()


@contextmanager
def read(engine: Engine) -> Iterator[Session]:
    """Open a reading transaction: one consistent picture, never blocked by the writer."""
    reading = engine.execution_options(**{READ_ONLY: True})
    try:
        with Session(reading, expire_on_commit=False) as session:
            yield session
            # What was read stays usable: a rollback would expire it.
            session.expunge_all()
            session.rollback()
    except OperationalError as fault:
        raise _unavailable() from fault


def _unavailable() -> Unavailable:
    return Unavailable("The database cannot be used at the moment. Try again in a minute.")
