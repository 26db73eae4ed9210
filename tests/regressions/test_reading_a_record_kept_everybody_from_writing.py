"""Reading a whole record, or a search by another system, held the database's one writing lock."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from consent_service.domain.audit import EventKind
from consent_service.services import fhir, people, subject_access
from consent_service.services.fhir_records import Kind
from consent_service.services.subject_access import OpenRequest
from tests.support.clinic import Clinic, Family


def _make_file(clinic: Clinic, family: Family) -> None:
    wanted = OpenRequest(family.mother, clinic.today)
    asked = subject_access.open_request(clinic.ctx, clinic.ig, wanted).id
    subject_access.file(clinic.ctx, clinic.ig, asked, "seven quiet otters 42")


def _search(clinic: Clinic, family: Family) -> None:
    fhir.search(clinic.ctx, clinic.ig, Kind.CONSENT, patient=family.mother)


@pytest.mark.parametrize(
    ("read", "kind", "table"),
    [
        (_make_file, EventKind.SUBJECT_ACCESS_PREPARED, "FROM leaflet_issue"),
        (_search, EventKind.RECORDS_READ, "FROM consent_decision"),
    ],
    ids=["subject access", "fhir"],
)
def test_somebody_writes_while_a_record_is_read(
    clinic: Clinic, read: Callable[[Clinic, Family], None], kind: EventKind, table: str
) -> None:
    """A withdrawal must not wait until somebody else's long answer has been gathered."""
    family = clinic.family()
    clinic.both_consent(family)
    written: list[str] = []

    def write_meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if " ".join(statement.split()).find(table) > 0 and not written:
            written.append("begun")
            details = people.PersonDetails(clinic.team, "Ada Invented")
            written.append(people.create_person(clinic.ctx, clinic.guider, details).id)

    event.listen(clinic.ctx.engine, "before_cursor_execute", write_meanwhile)
    try:
        read(clinic, family)
    finally:
        event.remove(clinic.ctx.engine, "before_cursor_execute", write_meanwhile)

    assert len(written) == 2
    assert len(clinic.written_down(kind)) == 1
