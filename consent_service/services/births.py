"""When the baby is born: nobody is pregnant any more, and bump film gets its class (rule 13).

Film of the bump is not asked about again; from now on the baby needs its own `care` for new film.
"""

from consent_service.db.queries.people import members
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.services import retention_dates
from consent_service.services.access import Caller
from consent_service.services.context import Context


def note_birth(ctx: Context, uow: UnitOfWork, caller: Caller, involvement: str) -> None:
    """End every pregnancy in an involvement, and compute what is due there anew."""
    uow.lock_involvement(involvement)
    expecting = [row for row, _ in members(uow.session, involvement) if row.pregnant]
    for row in expecting:
        row.pregnant = False
        kind = EventKind.PREGNANCY_ENDED
        uow.record(AuditEvent(kind, caller.actor, row.person_id, involvement))
    if expecting:
        retention_dates.recompute(ctx, uow, involvement)
