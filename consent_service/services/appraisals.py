"""Appraisals: the class-level decision that lets a job destroy without asking (rules 8 and 20).

Rules kept here: proposed in a file, approved in the service by two different people, never by a
job or the person who approved first; it expires on its day and can be revoked at once by one.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.retention import Appraisal
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import ActorKind, AuditEvent, EventKind
from consent_service.domain.retention_rules import AppraisalProposal
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context

PROPOSED, HALF_APPROVED, APPROVED = "proposed", "half_approved", "approved"
EXPIRED, REVOKED = "expired", "revoked"


@dataclass(frozen=True)
class AppraisalView:
    """An appraisal as it stands.

    `id` is None for a proposal in a file that nobody has acted on; `state` is *proposed*,
    *half_approved*, *approved*, *expired* or *revoked*.
    """

    id: str | None
    code: str
    rules: tuple[str, ...]
    reason: str
    state: str
    valid_until: date
    first_approved_by: str | None
    approved_by: str | None
    approved_at: datetime | None
    revoked_at: datetime | None


def propose_appraisals(ctx: Context, caller: Caller) -> list[str]:
    """Put up every proposal of the policy folder that is not registered; returns their codes."""
    require(ctx, caller, Permission.APPRAISAL_PROPOSE)
    with ctx.begin() as uow:
        return [
            proposal.id
            for proposal in ctx.policies.appraisals.values()
            if _registered(uow.session, proposal) is None and _register(uow, caller, proposal)
        ]


def approve_appraisal(ctx: Context, caller: Caller, code: str) -> AppraisalView:
    """Approve a proposal; the second of two different people puts it in force.

    Raises NotFound, Conflict (`already_approved`, `expired`), Refused (`second_person`).
    """
    require(ctx, caller, Permission.APPRAISAL_APPROVE)
    require_fresh(caller)
    if caller.actor.kind is ActorKind.JOB:
        raise Refused("People approve appraisals, jobs do not.", code="person_needed")
    with ctx.begin() as uow:
        row = _to_approve(ctx, uow, caller, code)
        today = london_day(uow.at)
        if row.valid_until < today:
            raise Conflict("This proposal has expired. Propose it with a later day.", code=EXPIRED)
        if row.approved_at is not None:
            raise Conflict("This appraisal is approved already.", code="already_approved")
        if row.first_approved_by == caller.id:
            raise Refused("A second person approves this.", code="second_person")
        if row.first_approved_by is None:
            row.first_approved_by, row.first_approved_at = caller.id, uow.at
        else:
            row.approved_by, row.approved_at = caller.id, uow.at
        uow.record(
            AuditEvent(
                EventKind.APPRAISAL_APPROVED,
                caller.actor,
                row.id,
                details={
                    "appraisal": row.code,
                    "until": row.valid_until.isoformat(),
                    "in_force": row.approved_at is not None,
                },
            )
        )
        return _view(row, today)


def revoke_appraisal(ctx: Context, caller: Caller, code: str, reason: str) -> AppraisalView:
    """Take an appraisal back at once; what it covers waits for people again."""
    require(ctx, caller, Permission.APPRAISAL_APPROVE)
    if not reason.strip():
        raise InvalidInput("Say why.", {"reason": "Give the reason for revoking the appraisal."})
    with ctx.begin() as uow:
        row = _newest(uow.session, code)
        if row is None:
            raise _not_found()
        if row.revoked_at is not None:
            raise Conflict("This appraisal is revoked already.", code="already_revoked")
        row.revoked_at, row.revoked_by = uow.at, caller.id
        uow.record(
            AuditEvent(
                EventKind.APPRAISAL_REVOKED,
                caller.actor,
                row.id,
                details={"appraisal": row.code},
            )
        )
        return _view(row, london_day(uow.at))


def appraisals(ctx: Context, caller: Caller) -> list[AppraisalView]:
    """Return every appraisal and every proposal that nobody has acted on, by code."""
    require(ctx, caller, Permission.RETENTION_READ)
    today = london_day(ctx.clock.now())
    with ctx.read() as session:
        rows = session.scalars(select(Appraisal).order_by(Appraisal.code, Appraisal.proposed_at))
        found = [_view(row, today) for row in rows]
        found += [
            _view_of_file(proposal)
            for proposal in ctx.policies.appraisals.values()
            if _registered(session, proposal) is None
        ]
    return sorted(found, key=lambda view: view.code)


def digest_of(proposal: AppraisalProposal) -> str:
    """Return the SHA-256 of a proposal: any change of it needs two people again."""
    return hashlib.sha256(
        rfc8785.dumps(
            {
                "id": proposal.id,
                "rules": list(proposal.rules),
                "reason": proposal.reason,
                "valid_until": proposal.valid_until.isoformat(),
            }
        )
    ).hexdigest()


def _to_approve(ctx: Context, uow: UnitOfWork, caller: Caller, code: str) -> Appraisal:
    """Return the row to approve: the file's proposal if it is new, else the newest registered."""
    proposal = ctx.policies.appraisals.get(code)
    if proposal is not None:
        found = _registered(uow.session, proposal)
        if found is None or found.revoked_at is not None:
            require(ctx, caller, Permission.APPRAISAL_PROPOSE)
            return _register(uow, caller, proposal)
        return found
    row = _newest(uow.session, code)
    if row is None or row.revoked_at is not None:
        raise _not_found()
    return row


def _registered(session: Session, proposal: AppraisalProposal) -> Appraisal | None:
    return session.scalar(
        select(Appraisal)
        .where(Appraisal.code == proposal.id, Appraisal.digest == digest_of(proposal))
        .order_by(Appraisal.proposed_at.desc(), Appraisal.id)
        .limit(1)
        .with_for_update()
    )


def _newest(session: Session, code: str) -> Appraisal | None:
    return session.scalar(
        select(Appraisal)
        .where(Appraisal.code == code)
        .order_by(Appraisal.proposed_at.desc(), Appraisal.id)
        .limit(1)
        .with_for_update()
    )


def _register(uow: UnitOfWork, caller: Caller, proposal: AppraisalProposal) -> Appraisal:
    row = Appraisal(
        id=new_id(),
        code=proposal.id,
        rules=list(proposal.rules),
        digest=digest_of(proposal),
        reason=proposal.reason,
        proposed_at=uow.at,
        valid_until=proposal.valid_until,
    )
    uow.session.add(row)
    uow.session.flush()
    uow.record(
        AuditEvent(
            EventKind.APPRAISAL_PROPOSED,
            caller.actor,
            row.id,
            details={"appraisal": row.code, "classes": row.rules},
        )
    )
    return row


def _view(row: Appraisal, today: date) -> AppraisalView:
    return AppraisalView(
        row.id,
        row.code,
        tuple(row.rules),
        row.reason,
        _state(row, today),
        row.valid_until,
        row.first_approved_by,
        row.approved_by,
        row.approved_at,
        row.revoked_at,
    )


def _state(row: Appraisal, today: date) -> str:
    if row.revoked_at is not None:
        return REVOKED
    if row.valid_until < today:
        return EXPIRED
    if row.approved_at is not None:
        return APPROVED
    return PROPOSED if row.first_approved_by is None else HALF_APPROVED


def _view_of_file(proposal: AppraisalProposal) -> AppraisalView:
    return AppraisalView(
        None,
        proposal.id,
        tuple(proposal.rules),
        proposal.reason,
        PROPOSED,
        proposal.valid_until,
        None,
        None,
        None,
        None,
    )


def _not_found() -> NotFound:
    return NotFound("There is no such appraisal. `appraisals list` shows them all.")
