"""What the newest comparison of store, database, ledger and keyring found, for people to read.

Rule kept here: it is read from the audit log, which cannot be tidied up afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from consent_service.db.models.audit import AuditEntry
from consent_service.domain.audit import EventKind, parse_body
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.reconcile import Fault


@dataclass(frozen=True)
class Comparison:
    """When everything was compared, how many of each fault, and what still needs a person.

    `open` are fault and subject, an id or the name of an object; at most the first few are told.
    """

    at: datetime
    faults: Mapping[Fault, int]
    open: tuple[tuple[Fault, str], ...]


def newest(ctx: Context, caller: Caller) -> Comparison | None:
    """Return the newest comparison; None before the first."""
    require(ctx, caller, Permission.JOBS_READ)
    with ctx.read() as session:
        body = session.scalar(
            select(AuditEntry.body)
            .where(AuditEntry.kind == EventKind.RECONCILE_REPORTED.value)
            .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
            .limit(1)
        )
    if body is None:
        return None
    told = parse_body(body)
    details: Mapping[str, Any] = told.event.details
    pairs = (one.split("/", 1) for one in details.get("open", ()))
    return Comparison(
        told.at,
        {fault: int(details[fault.value]) for fault in Fault if fault.value in details},
        tuple((Fault(fault), subject) for fault, subject in pairs),
    )
