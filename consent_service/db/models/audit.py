"""Tables of the audit log; all but the waiting list can be added to and nothing else.

Rules kept here:
  * `audit_entry`, `audit_leaf`, `audit_tile`, `audit_checkpoint` and `audit_epoch` are insert-only
    by trigger on both engines: UPDATE, DELETE, TRUNCATE and INSERT OR REPLACE raise;
  * `at` is the text that stands in the entry's body, so that the two can be compared byte by byte;
  * `audit_pending` lists entries that have no leaf yet: transactions commit out of order, so the
    sealer may not go by "greater than the last". A trigger puts every new entry on the list, so
    that none can be written without being sealed.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    event,
)
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import ID_LENGTH, Base

INSTANT_LENGTH = 27
CODE_LENGTH = 120
ACTOR_LENGTH = 160


class AuditEntry(Base):
    """One event: its canonical bytes, and copies of what it is searched by."""

    __tablename__ = "audit_entry"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    at: Mapped[str] = mapped_column(String(INSTANT_LENGTH))
    kind: Mapped[str] = mapped_column(String(CODE_LENGTH))
    actor: Mapped[str] = mapped_column(String(ACTOR_LENGTH))
    subject: Mapped[str | None] = mapped_column(String(CODE_LENGTH))
    involvement: Mapped[str | None] = mapped_column(String(CODE_LENGTH))
    body: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        Index(None, "at", "id"),
        Index(None, "kind", "at"),
        Index(None, "actor", "at"),
        Index(None, "subject", "at"),
        Index(None, "involvement", "at"),
    )


class AuditPending(Base):
    """An entry that the sealer has not yet given a leaf."""

    __tablename__ = "audit_pending"

    entry_id: Mapped[str] = mapped_column(ForeignKey("audit_entry.id"), primary_key=True)


class AuditEpoch(Base):
    """One life of the log; a restore starts the next, whose first entry names the loss."""

    __tablename__ = "audit_epoch"

    epoch: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    origin: Mapped[str] = mapped_column(Text)


class AuditLeaf(Base):
    """The place of an entry in its epoch's tree, and its leaf hash (32 bytes)."""

    __tablename__ = "audit_leaf"

    epoch: Mapped[int] = mapped_column(ForeignKey("audit_epoch.epoch"), primary_key=True)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[str] = mapped_column(ForeignKey("audit_entry.id"), unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditTile(Base):
    """256 hashes of one level (0: leaves; n: roots of tiles of level n-1) and the root over them.

    Only full tiles are stored; the right edge is read from the leaves and the roots below.
    """

    __tablename__ = "audit_tile"

    epoch: Mapped[int] = mapped_column(ForeignKey("audit_epoch.epoch"), primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary)


class AuditCheckpoint(Base):
    """A signed head: the note as published, and copies of what it says."""

    __tablename__ = "audit_checkpoint"

    epoch: Mapped[int] = mapped_column(ForeignKey("audit_epoch.epoch"), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[str] = mapped_column(String(INSTANT_LENGTH))
    note: Mapped[str] = mapped_column(Text)


# The columns by which INSERT OR REPLACE could push a row out: every unique key.
_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "audit_entry": (("id",),),
    "audit_epoch": (("epoch",),),
    "audit_leaf": (("epoch", "index"), ("entry_id",)),
    "audit_tile": (("epoch", "level", "index"),),
    "audit_checkpoint": (("epoch", "size"),),
}


def _sqlite_taken(table: str, key: tuple[str, ...]) -> str:
    same = " AND ".join(f'"{column}" = NEW."{column}"' for column in key)
    return f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - names from _KEYS only


def _sqlite_triggers(table: str) -> list[str]:
    refuse = f"SELECT RAISE(ABORT, '{table} is insert-only')"
    taken = " OR ".join(_sqlite_taken(table, key) for key in _KEYS[table])
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN {refuse}; END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN {refuse}; END",
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {taken}"
        f" BEGIN {refuse}; END",
    ]


_SQLITE_WAITS = (
    "CREATE TRIGGER audit_entry_waits AFTER INSERT ON audit_entry"
    " BEGIN INSERT INTO audit_pending (entry_id) VALUES (NEW.id); END"
)

_POSTGRES_WAITS = [
    "CREATE OR REPLACE FUNCTION list_audit_entry() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN INSERT INTO audit_pending (entry_id) VALUES (NEW.id); RETURN NULL; END $$",
    "CREATE TRIGGER audit_entry_waits AFTER INSERT ON audit_entry"
    " FOR EACH ROW EXECUTE FUNCTION list_audit_entry()",
]

_POSTGRES_FUNCTION = (
    "CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME; END $$"
)


def _postgres_triggers(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    ]


TRIGGERS: dict[str, list[str]] = {
    "sqlite": [*(sql for table in _KEYS for sql in _sqlite_triggers(table)), _SQLITE_WAITS],
    "postgresql": [
        _POSTGRES_FUNCTION,
        *(sql for table in _KEYS for sql in _postgres_triggers(table)),
        *_POSTGRES_WAITS,
    ],
}
"""The statements, in order, once all the tables are there; also for migrations."""


def _attach_triggers() -> None:
    """Let `metadata.create_all` make the triggers once the tables are there."""
    for dialect, statements in TRIGGERS.items():
        for statement in statements:
            # DDL formats with %, so a literal one is doubled.
            ddl = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
            event.listen(Base.metadata, "after_create", ddl.execute_if(dialect=dialect))


_attach_triggers()
