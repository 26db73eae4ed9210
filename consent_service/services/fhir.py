"""What other systems may read of consent, as frozen records that the FHIR mappers write out.

Rules kept here:
  * the verbs and the reach of the caller's roles hold as everywhere: another team's things are
    not there;
  * every read is written down, with what was asked for and how much was found.
"""

from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.fhir_reading import MOST, READERS, Reader
from consent_service.services.fhir_records import ActRecord, AuditRecord, Kind, Record

NEEDS = {
    Kind.PATIENT: Permission.PEOPLE_READ,
    Kind.RELATED_PERSON: Permission.PEOPLE_READ,
    Kind.CONSENT: Permission.CONSENT_READ,
    Kind.PROVENANCE: Permission.CONSENT_READ,
    Kind.DOCUMENT: Permission.CONSENT_READ,
    Kind.AUDIT: Permission.AUDIT_READ,
}
"""The verb that each kind asks for."""


def read(ctx: Context, caller: Caller, kind: Kind, identifier: str) -> Record:
    """Return one record; raises Refused (`role`), and NotFound for what is out of reach."""
    found = search(ctx, caller, kind, identifier=identifier)
    if not found:
        raise NotFound("There is no such record that you can see.", kind=kind.value)
    return found[0]


def search(
    ctx: Context,
    caller: Caller,
    kind: Kind,
    *,
    identifier: str | None = None,
    patient: str | None = None,
) -> list[Record]:
    """Return the records of this id, of this patient, or of both; at most `MOST`.

    What is out of reach is not there. Raises Refused (`role`); ValueError when neither is given.
    """
    if identifier is None and patient is None:
        raise ValueError("give an id or a patient")
    require(ctx, caller, NEEDS[kind])
    asked = identifier or patient or ""
    with ctx.read() as session:
        reader = Reader(ctx, session, caller, ctx.clock.now())
        by_id, of_patient = READERS[kind]
        if identifier is not None:
            found = list(by_id(reader, identifier))
            if patient is not None:
                ours = {_id_of(record) for record in of_patient(reader, patient)}
                found = [record for record in found if _id_of(record) in ours]
        else:
            found = list(of_patient(reader, patient or ""))
        found = found[:MOST]
        details: dict[str, str | int] = {"records": kind.value, "found": len(found)}
        if patient is not None:
            details["patient"] = patient
    # Written down before anything leaves; reading takes a while and keeps nobody from writing.
    with ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.RECORDS_READ, caller.actor, asked, details=details))
    return found


def _id_of(record: Record) -> str:
    match record:
        case ActRecord():
            return record.view.id
        case AuditRecord():
            return record.recorded.entry_id
        case _:
            return record.id
