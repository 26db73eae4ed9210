"""The page that tells whether store, database, ledger and keys fit together."""

import html

from consent_service.services.access import job_caller
from consent_service.services.reconcile import Fault, reconcile
from consent_service.web.jobs import MEANINGS
from tests.support.clinic import Clinic
from tests.support.pages import Pages


def test_what_does_not_fit_is_told_with_what_to_do(pages: Pages, clinic: Clinic) -> None:
    """A code in a log helps nobody at eight in the morning."""
    assert MEANINGS.keys() == set(Fault)
    where = "/jobs/comparison"
    assert "Nothing has been compared yet" in pages.as_("ig").opens(where).text
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    clinic.ctx.blobs.delete(f"{film.id}.1")

    reconcile(clinic.ctx, job_caller("reconcile"))

    page = html.unescape(pages.as_("ig").opens(where).text)
    for words in (*MEANINGS[Fault.OBJECT_MISSING], film.id[:8]):
        assert words in page
    assert "Compare now" not in page
    assert "Compare now" in pages.as_("admin").opens(where).text
