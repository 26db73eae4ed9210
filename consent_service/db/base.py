"""The declarative base: column types and naming shared by every table, on both engines.

Instants are stored as naive UTC and returned aware; a naive instant is refused. Codes are stored
as text. Constraint names follow one convention so that migrations can name what they change.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import JSON, Date, DateTime, Enum, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

ID_LENGTH = 32
CODE_LENGTH = 80


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant; stored as UTC without zone, read back aware."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive instants; convert to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant aware, in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def code_of(kind: type[StrEnum]) -> Enum:
    """Return the column type of an enum: its value, as text, on both engines."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=CODE_LENGTH,
        values_callable=lambda members: [m.value for m in members],
    )


Id = Annotated[str, mapped_column(String(ID_LENGTH))]
PrimaryId = Annotated[str, mapped_column(String(ID_LENGTH), primary_key=True)]
Code = Annotated[str, mapped_column(String(CODE_LENGTH))]
Digest = Annotated[str, mapped_column(String(64))]
Words = Annotated[str, mapped_column(Text)]
"""Free text: may hold personal data, never copied to logs, events or file names."""


class Base(DeclarativeBase):
    """Root of every table of the service's own database (the keyring has its own)."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it as a plain mapping)
        datetime: UtcDateTime(),
        date: Date(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }
