"""Setting up an installation: policies published, the first administrator, the first log entry.

Asks nothing, and changes nothing the second time.
"""

from sqlalchemy import Engine, select

from consent_service.db import unit_of_work
from consent_service.db.models.accounts import UserAccount
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR
from consent_service.errors import SettingsFault
from consent_service.services import accounts, policies
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.vault.journal import BEFORE_FIRST, Journal

FIRST_ADMINISTRATOR = "administrator@clinic.example"


def is_set_up(engine: Engine) -> bool:
    """Tell whether this database, which is at this version, is one of a service with accounts."""
    with unit_of_work.read(engine) as session:
        return session.scalar(select(UserAccount.id).limit(1)) is not None


def require_no_lines(journal: Journal) -> None:
    """Raise SettingsFault `database_lost` where the journal is of a service that was here before.

    Asked before keys are begun. Raises JournalBroken where other signing keys signed it.
    """
    if journal.head() != BEFORE_FIRST:
        raise _lost("The journal holds lines")


def require_no_keys(ctx: Context) -> None:
    """Raise SettingsFault `database_lost` where the keyring is of one that was here before."""
    if next(ctx.keyring.list_keys(), None) is not None:
        raise _lost("The keyring holds keys")


def _lost(what: str) -> SettingsFault:
    return SettingsFault(
        f"{what} of a service whose database is not here. Put back the newest backup with"
        " `consent-service backups restore`, or correct CONSENT_DATABASE_URL. A new"
        " service needs a keyring and a journal of its own.",
        code="database_lost",
    )


def initialise(ctx: Context, caller: Caller) -> str | None:
    """Publish the packaged policies and make the first administrator.

    Returns their one-time link, or None when there are accounts already.
    """
    policies.publish_all(ctx, caller)
    if is_set_up(ctx.engine):
        return None
    with ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.SERVICE_INITIALISED, caller.actor, "service"))
    # Last: until there is an account, who was interrupted sets up again and gets the link.
    details = accounts.UserDetails(FIRST_ADMINISTRATOR, "First administrator", (ADMINISTRATOR,))
    _, token = accounts.create_user(ctx, caller, details)
    return f"{ctx.settings.public_url}/set-up/{token}"
