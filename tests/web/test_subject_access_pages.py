"""The IG officer's pages for people who ask what is held about them."""

import io
import re

import pikepdf
import pytest

from consent_service.domain.audit import EventKind
from consent_service.services import subject_access
from consent_service.services.subject_access import OpenRequest
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, kinds_recorded, words

PASSPHRASE = "seven quiet otters 42"


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everybody said yes."""
    family = clinic.family()
    clinic.both_consent(family)
    return family


def _asked_on(clinic: Clinic) -> dict[str, str]:
    day = clinic.today
    return {
        "asked_on-day": str(day.day),
        "asked_on-month": str(day.month),
        "asked_on-year": str(day.year),
    }


def _follows(visitor: Visitor) -> str:
    assert visitor.last is not None
    return words(visitor.follows(visitor.last))


def test_a_request_is_found_opened_answered_and_closed(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """The whole way, as an officer goes it; the name is sent in a form and never in an address."""
    ig = pages.as_("ig")
    assert "No request waits" in words(ig.opens("/subject-access"))

    found = ig.sends("/subject-access", wanted="Rosa")
    link = re.search(r"/subject-access/people/[0-9a-f]{32}", found.get_data(as_text=True))
    assert link is not None and "Rosa" not in link[0]
    unsaid = ig.sends(link[0], who="another", **_asked_on(clinic))
    assert unsaid.status_code == 400 and "Say who asked" in words(unsaid)
    ig.sends(link[0], who="themselves", **_asked_on(clinic))
    assert "due on 2 december 2026" in _follows(ig).lower()

    (request,) = whole_lists.requests(clinic.ctx, clinic.ig)
    where = f"/subject-access/{request.id}"
    assert "Rosa Invented" in words(ig.opens(where))
    ig.sends(f"{where}/answer", given="The file, by post")
    assert "The file, by post" in _follows(ig)
    ig.posts(f"{where}/close")
    assert "Closed" in _follows(ig)
    again = ig.posts(f"{where}/close")
    assert again.status_code == 302 and "cannot become" in _follows(ig)


def test_the_file_is_sent_locked_and_kept_by_no_browser(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """It holds all of a person: on the officer's disk it must be worth nothing to a finder."""
    asked = OpenRequest(family.mother, clinic.today)
    request = subject_access.open_request(clinic.ctx, clinic.ig, asked).id
    ig = pages.as_("ig")

    weak = ig.sends(f"/subject-access/{request}/file", passphrase="short")
    sent = ig.sends(f"/subject-access/{request}/file", passphrase=PASSPHRASE)

    assert weak.status_code == 400 and 'href="#passphrase"' in weak.get_data(as_text=True)
    assert sent.mimetype == "application/pdf" and "no-store" in sent.headers["Cache-Control"]
    assert sent.headers["Content-Disposition"].startswith("attachment")
    with pikepdf.open(io.BytesIO(sent.get_data()), password=PASSPHRASE) as pdf:
        assert "records.json" in pdf.attachments
        assert pdf.is_encrypted and pdf.encryption.R == 6
    assert kinds_recorded(clinic).count(EventKind.SUBJECT_ACCESS_PREPARED) == 1
