"""Whether the service can do its work now: database, schema, keyring, keys, store, journal."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from consent_service.db import schema
from consent_service.errors import ConsentServiceError
from consent_service.services.context import Context

NOTHING = "0" * 32


@dataclass(frozen=True)
class Check:
    """One thing the service needs. `fault` is a sentence without personal data."""

    name: str
    ok: bool
    fault: str = ""


def ready(ctx: Context) -> list[Check]:
    """Try everything once, quickly; never raises."""
    return [_try(name, act, ctx) for name, act in CHECKS.items()]


def _database(ctx: Context) -> bool:
    with ctx.read() as session:
        return bool(session.execute(text("SELECT 1")).scalar())


def _schema(ctx: Context) -> bool:
    return schema.is_current(ctx.engine)


def _keyring(ctx: Context) -> bool:
    ctx.keyring.status([NOTHING])
    return True


def _keys(ctx: Context) -> bool:
    ctx.keyring.check()
    return True


def _store(ctx: Context) -> bool:
    ctx.blobs.check()
    return True


def _journal(ctx: Context) -> bool:
    ctx.journal.head()
    return True


CHECKS: dict[str, Callable[[Context], bool]] = {
    "database": _database,
    "schema": _schema,
    "keyring": _keyring,
    "keys": _keys,
    "store": _store,
    "journal": _journal,
}


def _try(name: str, act: Callable[[Context], bool], ctx: Context) -> Check:
    try:
        return Check(name, act(ctx))
    except (ConsentServiceError, SQLAlchemyError, OSError) as fault:
        sentence = fault.message if isinstance(fault, ConsentServiceError) else type(fault).__name__
        return Check(name, False, sentence)
