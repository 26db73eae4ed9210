"""An older database is put back beside today's keys, film and journal, and the service starts."""

from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from consent_service.domain.consent import ConsentState
from consent_service.services import audit, consent, startup
from consent_service.services.journal_replay import ReplayReport
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic


def database_backup(clinic: Clinic, folder: Path) -> DatabaseBackup:
    """Copy the database as it stands, its log sealed and published; five minutes pass."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)
    found = DatabaseBackup.take(clinic.ctx.engine, folder)
    clinic.passes(minutes=5)
    return found


def put_back(clinic: Clinic, backup: DatabaseBackup) -> ReplayReport:
    """Put it back in the place of today's, and start."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    backup.put_back()
    clinic.passes(minutes=5)
    return startup.require_ready(clinic.ctx)


def care_state(clinic: Clinic, person: str) -> ConsentState:
    """What this person's consent to care is now."""
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, person, now, now)
    return next(v.state for v in views if v.purpose == "care")


def rows_of(clinic: Clinic, what: type, *where: Any) -> int:
    """How many rows of a model there are."""
    with clinic.ctx.read() as session:
        return session.scalar(select(func.count()).select_from(what).where(*where)) or 0
