"""One transaction: a session, the audit entries that belong to it, effects for after the commit.

Rules kept here:
  * no change without an audit event: `record` writes the entry in the same transaction;
  * effects (keys, files, messages) run only once the commit stood;
  * who loses a race is told so in our words: the database's own would quote the row;
  * whatever grants, ends, stores, holds, releases or starts a step first locks the involvement.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from sqlalchemy import Engine, Insert, bindparam, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from consent_service.db import audit_log
from consent_service.db.base import Base
from consent_service.db.engine import READ_ONLY
from consent_service.db.models.people import Involvement
from consent_service.domain.audit import AuditEvent
from consent_service.errors import DiskFull, NotFound, Stale, TakenMeanwhile, Unavailable

Effect = Callable[[], object]

POSTGRESQL_UNIQUE_VIOLATION = "23505"
"""How PostgreSQL says it (SQLSTATE); its driver need not be loaded to understand that."""

_ONE_PICTURE: Mapping[str, Mapping[str, str]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}
"""How each engine shows a reader one moment: SQLite always does."""


_LOCKED = (
    select(Involvement)
    .where(Involvement.id == bindparam("involvement"))
    .with_for_update()
    .execution_options(populate_existing=True)
)


class UnitOfWork:
    """What a use case works with between begin and commit; `at` is its one reading of the clock."""

    def __init__(self, session: Session, at: datetime) -> None:
        self.session = session
        self.at = at
        self.effects: list[Effect] = []
        self._locked: dict[str, Involvement] = {}

    def record(self, event: AuditEvent) -> audit_log.AppendedEntry:
        """Write an audit entry in this transaction; if it cannot be written, nothing happens."""
        return audit_log.append(self.session, event, self.at)

    def record_all(self, events: Iterable[AuditEvent]) -> None:
        """Write many audit entries in this transaction, in their order."""
        audit_log.append_all(self.session, events, self.at)

    def after_commit(self, effect: Effect) -> None:
        """Run `effect` once the transaction is committed, and only then."""
        self.effects.append(effect)

    def insert(self, model: type[Base], rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows that nobody needs as objects: a third of the cost where an act writes many.

        What was added to the session before is written first: the rows may point at it.
        """
        self.session.flush()
        if rows:
            self.session.execute(_insert_into(model), rows)

    def lock_involvement(self, involvement: str) -> Involvement:
        """Lock and return the involvement's row; raises NotFound when there is none.

        What was read of it before the lock is read again: another transaction may have moved the
        consent epoch while this one waited, and counting on from a stale epoch would hide an end.
        What is locked already is not asked for twice. Lock before a savepoint, not within one:
        rolling back to it would let go of the lock.
        """
        if involvement in self._locked:
            return self._locked[involvement]
        if self.session.get_bind().dialect.name == "sqlite":
            # Its writers follow one another: what this one read, nobody has changed since.
            row = self.session.get(Involvement, involvement)
        else:
            row = self.session.scalar(_LOCKED, {"involvement": involvement})
        if row is None:
            raise NotFound(f"There is no involvement {involvement}.")
        self._locked[involvement] = row
        return row


@cache
def _insert_into(model: type[Base]) -> Insert:
    return insert(Base.metadata.tables[model.__tablename__])


@contextmanager
def begin(engine: Engine, at: datetime) -> Iterator[UnitOfWork]:
    """Open a writing transaction; commit when the block ends well, roll back when it raises.

    Raises Unavailable when the database cannot be reached or stays locked; Stale and TakenMeanwhile
    when somebody else changed, or wrote, the same row in the same moment.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            uow = UnitOfWork(session, at)
            yield uow
    except OperationalError as fault:
        raise _unavailable(fault) from fault
    except StaleDataError:
        raise Stale("Someone changed this in the meantime. Load it again.") from None
    except IntegrityError as fault:
        if not _is_taken(fault.orig):
            raise
        raise TakenMeanwhile(
            "Someone wrote the same thing in this moment. Look at theirs, then try again."
        ) from None
    for effect in uow.effects:
        effect()


@contextmanager
def read(engine: Engine) -> Iterator[Session]:
    """Open a reading transaction: one consistent picture, never blocked by the writer."""
    reading = engine.execution_options(**{READ_ONLY: True}, **_ONE_PICTURE[engine.dialect.name])
    try:
        with Session(reading, expire_on_commit=False) as session:
            yield session
            # What was read stays usable: a rollback would expire it.
            session.expunge_all()
            session.rollback()
    except OperationalError as fault:
        raise _unavailable(fault) from fault


def _is_taken(fault: BaseException | None) -> bool:
    """Tell whether a unique or primary key was there already."""
    if isinstance(fault, sqlite3.IntegrityError):
        return fault.sqlite_errorcode in (
            sqlite3.SQLITE_CONSTRAINT_UNIQUE,
            sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        )
    return getattr(fault, "sqlstate", None) == POSTGRESQL_UNIQUE_VIOLATION


def _unavailable(fault: OperationalError) -> Unavailable:
    if "disk is full" in str(fault.orig) or getattr(fault.orig, "sqlstate", None) == "53100":
        return DiskFull(
            "The database's disk is full and nothing half-done stays. Make room, then try again."
        )
    return Unavailable("The database cannot be used at the moment. Try again in a minute.")
