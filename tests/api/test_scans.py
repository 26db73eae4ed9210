"""The scan of a paper as programs bring and read it."""

from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.withdrawal import Route
from consent_service.services import consent
from tests.support.api import Api
from tests.support.clinic import Clinic, sample_scan


def test_a_program_brings_the_scan_that_a_check_needs(api: Api, clinic: Clinic) -> None:
    """What is typed in elsewhere must get to the second person whole, or it never counts."""
    act = _on_paper(clinic)
    where = f"/consents/{act}/scan"
    early = api.post(f"/consents/{act}/check", by="ig")
    assert (early.status_code, early.get_json()["code"]) == (409, "scan_missing")
    assert api.get(where).status_code == 404

    kept = api.call("PUT", where, data=sample_scan(), content_type="image/png")

    assert (kept.status_code, kept.get_json()["media_type"]) == (200, "image/jpeg")
    shown = api.get(where, by="ig")
    assert shown.mimetype == "image/jpeg"
    assert len(shown.data) == kept.get_json()["size"]
    assert len(clinic.written_down(EventKind.CONSENT_PAPER_VIEWED)) == 1
    assert api.post(f"/consents/{act}/check", by="ig").status_code == 200


def test_only_a_scan_of_a_size_that_papers_have_is_taken(api: Api, clinic: Clinic) -> None:
    """A film, or nothing, beside an act would be taken for the paper."""
    where = f"/consents/{_on_paper(clinic)}/scan"

    assert api.call("PUT", where, data=b"{}", content_type="video/mp4").status_code == 415
    empty = api.call("PUT", where, data=b"", content_type="image/png")
    assert (empty.status_code, empty.get_json()["code"]) == (400, "invalid")
    long = api.call("PUT", where, data=b"x" * (25 * 2**20), content_type="image/png")
    assert long.status_code == 413


def _on_paper(clinic: Clinic) -> str:
    family = clinic.family()
    return consent.capture(
        clinic.ctx,
        clinic.guider,
        consent.CaptureConsent(
            involvement=family.involvement,
            person=family.mother,
            form="vig",
            language="en",
            leaflet_issue=family.issues[family.mother],
            route=Route.PAPER,
            capacity=Capacity.NO_DOUBT,
            answers=clinic.answers(family, family.mother),
            signature=consent.Signature(SignatureKind.PAPER, {"kept_at": "cabinet 3"}),
            event_at=clinic.clock.now(),
        ),
    ).id
