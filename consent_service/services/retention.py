"""Retention: plan what is due, destroy what an appraisal covers, queue the rest, explain it all.

The one place that pages, API, jobs and verbs call; each part has a module of its own.

Rules kept here: after a jump of the clock nothing is destroyed automatically until a person, never
a job, confirms date and time.
"""

from sqlalchemy import select

from consent_service.db.models.jobs import ClockPause
from consent_service.domain.audit import ActorKind, AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import Refused
from consent_service.services.access import Caller, require
from consent_service.services.appraisals import (
    AppraisalView,
    appraisals,
    approve_appraisal,
    propose_appraisals,
    revoke_appraisal,
)
from consent_service.services.context import Context
from consent_service.services.dispositions import (
    Decide,
    Decision,
    DispositionView,
    confirm,
    decide,
    page_of_dispositions,
)
from consent_service.services.retention_due import RetentionPlan, plan
from consent_service.services.retention_run import RunView, abandon_uploads, run
from consent_service.services.retention_why import DueView, Explanation, explain, page_of_due

__all__ = [
    "AppraisalView",
    "Decide",
    "Decision",
    "DispositionView",
    "DueView",
    "Explanation",
    "RetentionPlan",
    "RunView",
    "abandon_uploads",
    "appraisals",
    "approve_appraisal",
    "confirm",
    "confirm_clock",
    "decide",
    "explain",
    "page_of_dispositions",
    "page_of_due",
    "plan",
    "propose_appraisals",
    "revoke_appraisal",
    "run",
]


def confirm_clock(ctx: Context, caller: Caller) -> int:
    """Confirm that date and time are right; automatic destruction goes on. Returns pauses ended."""
    require(ctx, caller, Permission.RETENTION_RUN)
    if caller.actor.kind is ActorKind.JOB:
        raise Refused("Only a person confirms the clock.", code="person_needed")
    with ctx.begin() as uow:
        rows = uow.session.scalars(
            select(ClockPause).where(ClockPause.confirmed_at.is_(None))
        ).all()
        for row in rows:
            row.confirmed_at = uow.at
            row.confirmed_by = caller.id
            uow.record(
                AuditEvent(
                    EventKind.CLOCK_CONFIRMED,
                    caller.actor,
                    row.id,
                    details={"confirmed_at": uow.at.isoformat()},
                )
            )
        return len(rows)
