"""Setting up an installation: policies published, the first administrator, the first log entry.

Asks nothing, and changes nothing the second time.
"""

from sqlalchemy import select

from consent_service.db.models.accounts import UserAccount
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR
from consent_service.services import accounts, policies
from consent_service.services.access import Caller
from consent_service.services.context import Context

FIRST_ADMINISTRATOR = "administrator@clinic.example"


def initialise(ctx: Context, caller: Caller) -> str | None:
    """Publish the packaged policies and make the first administrator.

    Returns their one-time link, or None when there are accounts already.
    """
    policies.publish_all(ctx, caller)
    with ctx.read() as session:
        if session.scalar(select(UserAccount.id).limit(1)) is not None:
            return None
    details = accounts.UserDetails(FIRST_ADMINISTRATOR, "First administrator", (ADMINISTRATOR,))
    _, token = accounts.create_user(ctx, caller, details)
    with ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.SERVICE_INITIALISED, caller.actor, "service"))
    return f"{ctx.settings.public_url}/set-up/{token}"
