"""Papers that somebody fetches by their own link: what was destroyed, and the photos they got.

Rules kept here:
  * certificates of what they themselves stopped, and receipts of photos handed over to them;
  * a certificate that would tell of a hold, a dispute or another's answers looks as if it were not
    issued yet;
  * each one that is fetched is written down.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import Certificate, ErasureOrder, Withdrawal
from consent_service.db.models.handovers import Handover
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.services import certificates, papers
from consent_service.services.access import Caller, Own, involvement_for, require_own
from consent_service.services.context import Context
from consent_service.services.withdrawal_told import certificate_told


@dataclass(frozen=True)
class OwnCertificate:
    """The newest certificate of an order that followed a withdrawal of one's own."""

    order: str
    withdrawal: str | None
    issued_at: datetime


@dataclass(frozen=True)
class OwnHandover:
    """Photos that were handed over: when."""

    id: str
    closed_at: datetime


@dataclass(frozen=True)
class OwnPapers:
    """What there is to fetch, newest first."""

    certificates: tuple[OwnCertificate, ...]
    handovers: tuple[OwnHandover, ...]


def own_papers(ctx: Context, caller: Caller) -> OwnPapers:
    """Return which certificates and receipts the holder of a link may fetch."""
    own = require_own(caller)
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.CERTIFICATE_READ, own.involvement)
        return OwnPapers(
            tuple(_certificates(session, caller, own)), tuple(_handovers(session, own))
        )


def certificate(ctx: Context, caller: Caller, order: str) -> bytes:
    """Return the newest certificate of an order as PDF/A; NotFound unless it may be told."""
    found = certificates.certificate(ctx, caller, order)
    made = papers.certificate(ctx, caller, order, found.revision)
    with ctx.begin() as uow:
        involvement = require_own(caller).involvement
        kind = EventKind.CERTIFICATE_FETCHED
        uow.record(AuditEvent(kind, caller.actor, found.id, involvement))
    return made


def _certificates(session: Session, caller: Caller, own: Own) -> list[OwnCertificate]:
    newest = (
        select(Certificate.order_id, func.max(Certificate.revision).label("revision"))
        .join(ErasureOrder, ErasureOrder.id == Certificate.order_id)
        .where(ErasureOrder.involvement_id == own.involvement)
        .group_by(Certificate.order_id)
        .subquery()
    )
    rows = session.execute(
        select(Certificate, ErasureOrder)
        .join(newest, Certificate.order_id == newest.c.order_id)
        .join(ErasureOrder, ErasureOrder.id == Certificate.order_id)
        .join(Withdrawal, Withdrawal.id == ErasureOrder.withdrawal_id)
        .where(
            Certificate.revision == newest.c.revision,
            ErasureOrder.involvement_id == own.involvement,
            Withdrawal.by_person_id == own.person,
        )
        .order_by(Certificate.issued_at.desc(), Certificate.id)
    )
    return [
        OwnCertificate(order.id, order.withdrawal_id, row.issued_at)
        for row, order in rows
        if certificate_told(session, caller, order, json.loads(row.body))
    ]


def _handovers(session: Session, own: Own) -> list[OwnHandover]:
    rows = session.execute(
        select(Handover.id, Handover.closed_at)
        .where(
            Handover.involvement_id == own.involvement,
            Handover.person_id == own.person,
            Handover.closed_at.is_not(None),
        )
        .order_by(Handover.closed_at.desc(), Handover.id)
    )
    return [OwnHandover(identifier, closed_at) for identifier, closed_at in rows if closed_at]
