"""Importing a leaflet from the team's own file, byte for byte.

Rules kept here: the same file again changes nothing; other words or dates for a version that is
registered are refused.
"""

from dataclasses import dataclass
from datetime import date

from consent_service.clock import london_day
from consent_service.db.models.policies import (
    LeafletVersion,
    LeafletWords,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.leaflet_file import LeafletDraft, parse_leaflet_file
from consent_service.domain.leaflets import LeafletStatus
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.leaflets import status_of, version_row
from consent_service.services.policies import attach_quotes, attach_words, register_leaflet


@dataclass(frozen=True)
class Imported:
    """What an import did. `changed` is False when the same file was imported before."""

    code: str
    version: int
    issued_on: date
    archive_on: date
    status: LeafletStatus
    sha256: str
    notes: tuple[str, ...]
    changed: bool


def import_leaflet(ctx: Context, caller: Caller, raw: bytes, name: str = "leaflet") -> Imported:
    """Register a leaflet from the team's own file; the same file again changes nothing.

    Raises PolicyFault `name:line: ...` for a file that is not of the shape, Conflict
    `leaflet_registered` for other words or dates of a version that is registered.
    """
    require(ctx, caller, Permission.LEAFLET_PUBLISH)
    draft = parse_leaflet_file(raw, name)
    organisation = ctx.policies.organisation
    language = organisation.default_language
    version = draft.version_of(organisation.leaflet_owner, language)
    with ctx.begin() as uow:
        row = version_row(uow.session, draft.code, draft.version)
        changed = True
        if row is None:
            row = register_leaflet(uow, caller, version, {language: (raw, draft.notes)})
        else:
            changed = _attach_to(uow, row, draft, language)
        if changed:
            uow.record(
                AuditEvent(
                    EventKind.LEAFLET_IMPORTED,
                    caller.actor,
                    f"{row.code}/{row.version}",
                    details={"digest": draft.sha256},
                )
            )
        status = status_of(ctx, row, london_day(uow.at))
    return Imported(
        draft.code,
        draft.version,
        draft.issued_on,
        draft.archive_on,
        status,
        draft.sha256,
        draft.notes,
        changed,
    )


def _attach_to(uow: UnitOfWork, row: LeafletVersion, draft: LeafletDraft, language: str) -> bool:
    """Attach words to control data; False when they are there already, byte for byte."""
    if (row.issued_on, row.archive_on) != (draft.issued_on, draft.archive_on):
        raise _registered(row)
    standing = uow.session.get(LeafletWords, (row.id, language))
    if standing is not None:
        if standing.raw != draft.raw:
            raise _registered(row)
        return False
    attach_words(uow, row, {language: (draft.raw, draft.notes)})
    attach_quotes(uow, row, draft.quotes)
    return True


def _registered(row: LeafletVersion) -> Conflict:
    return Conflict(
        f"{row.code} version {row.version} is registered with other words or dates."
        " Give the new words a new version number.",
        code="leaflet_registered",
    )
