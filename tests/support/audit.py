"""An audit log to play with: real tables on a real engine, a real key, invented events."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine, text

from consent_service.db import audit_log, audit_verify
from consent_service.db.audit_log import AppendedEntry
from consent_service.db.base import Base
from consent_service.db.engine import open_engine
from consent_service.db.models import audit
from consent_service.db.unit_of_work import begin, read
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.audit_check import Trust, VerifyReport
from consent_service.domain.checkpoint import Checkpoint
from consent_service.vault.signing import Signer, SigningUse

LOG = "log.clinic.example"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GUIDER = Actor(ActorKind.USER, "2c" * 16)

TABLES = [
    audit.AuditEntry.__table__,
    audit.AuditPending.__table__,
    audit.AuditEpoch.__table__,
    audit.AuditLeaf.__table__,
    audit.AuditTile.__table__,
    audit.AuditCheckpoint.__table__,
]


def build_audit_tables(url: str) -> None:
    """Make the tables of the log, and their triggers, in an empty database."""
    engine = open_engine(url)
    Base.metadata.create_all(engine, tables=TABLES)  # type: ignore[arg-type]
    engine.dispose()


def film_viewed(number: int = 0) -> AuditEvent:
    """Return an event as the service makes thousands of."""
    film = f"{number:032x}"
    return AuditEvent(EventKind.FILM_VIEWED, GUIDER, film, "3d" * 16, {"purpose": "care"})


@dataclass
class AuditLog:
    """A log in a database; each seal is a second later than the one before."""

    engine: Engine
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    at: datetime = NOON

    @property
    def signer(self) -> Signer:
        return Signer(SigningUse.LOG, self.key)

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self.key.public_key()

    def trust(self, published: Sequence[str] = ()) -> Trust:
        return Trust([self.public_key], published)

    def append(self, count: int) -> list[AppendedEntry]:
        """Append events, a millisecond apart, in one transaction."""
        appended = []
        with begin(self.engine, self.at) as uow:
            for number in range(count):
                self.at += timedelta(milliseconds=1)
                entry = audit_log.append(uow.session, film_viewed(number), self.at)
                appended.append(entry)
        return appended

    def seal(self, limit: int = 10_000) -> Checkpoint | None:
        self.at += timedelta(seconds=1)
        with begin(self.engine, self.at) as uow:
            return audit_log.seal(uow.session, self.signer, LOG, self.at, limit)

    def sealed(self, count: int) -> list[AppendedEntry]:
        """Append events and seal them under one head."""
        appended = self.append(count)
        assert self.seal() is not None
        return appended

    def verify(self, trust: Trust | None = None) -> VerifyReport:
        with read(self.engine) as session:
            return audit_verify.verify(session, trust or self.trust(), self.at)

    def note(self) -> str:
        with read(self.engine) as session:
            note = audit_log.latest_note(session)
        assert note is not None
        return note

    def tamper(self, statement: str, **values: object) -> int:
        """Do what somebody with the database in their hands can do; return the rows hit."""
        if self.engine.dialect.name == "sqlite":
            return self._tamper_with_the_file(statement, values)
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            return connection.execute(text(statement), values).rowcount

    def _tamper_with_the_file(self, statement: str, values: dict[str, object]) -> int:
        with closing(sqlite3.connect(str(self.engine.url.database))) as raw, raw:
            guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%_no_%'"
            for (name,) in raw.execute(guards).fetchall():
                raw.execute(f"DROP TRIGGER {name}")
            return raw.execute(statement, values).rowcount
