"""Withdrawing on the pages: seen before it happens, confirmed, and proved."""

import re

from consent_service.domain.consent import ConsentState
from consent_service.services import consent, erasure, withdrawal
from tests.support.clinic import Clinic, Family
from tests.support.journal_away import journal_away
from tests.support.pages import Pages, Visitor, words

EVERYTHING = {"scope": "everything", "route": "in_person"}


def _care(clinic: Clinic, person: str) -> ConsentState:
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, person, now, now)
    return next(v.state for v in views if v.purpose == "care")


def _agreed(clinic: Clinic) -> Family:
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    return family


def _looks(visitor: Visitor, family: Family, speed: str) -> dict[str, str]:
    """Look at what would happen; return the form that confirms exactly that."""
    where = f"/withdrawals/{family.involvement}/{family.mother}"
    shown = visitor.sends(where, by=family.mother, speed=speed, **EVERYTHING)
    assert "What would happen" in words(shown), words(shown)
    html = shown.get_data(as_text=True)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', html))


def test_nothing_happens_before_it_is_confirmed(pages: Pages, clinic: Clinic) -> None:
    """Looking at what would happen must not make it happen."""
    family = _agreed(clinic)

    _looks(pages.as_("guider"), family, "now")

    assert _care(clinic, family.mother) is ConsentState.GIVEN


def test_confirming_beside_a_full_journal_leads_to_the_receipt(
    pages: Pages, clinic: Clinic
) -> None:
    """The family sits there: a page that says that it failed would be read out to them."""
    family = _agreed(clinic)
    guider = pages.as_("guider")
    form = _looks(guider, family, "now")

    with journal_away(clinic.ctx.journal):
        done = guider.posts(f"/withdrawals/{family.involvement}/{family.mother}/confirm", **form)
        receipt = guider.follows(done)

    assert "Care stays the same" in words(receipt)
    assert _care(clinic, family.mother) is ConsentState.WITHDRAWN


def test_confirming_ends_it_and_leads_to_the_certificate(pages: Pages, clinic: Clinic) -> None:
    """Stopping is two pages; proof is one more."""
    family = _agreed(clinic)
    guider = pages.as_("guider")
    form = _looks(guider, family, "now")

    done = guider.posts(f"/withdrawals/{family.involvement}/{family.mother}/confirm", **form)
    receipt = guider.follows(done)
    erasure.work(clinic.ctx, "test")
    order = re.search(r"/certificates/orders/[0-9a-f]{32}", receipt.get_data(as_text=True))
    assert order is not None, words(receipt)
    certificate = guider.opens(order[0])
    bundle = guider.opens(f"{order[0]}/certificate.json")

    assert "Care stays the same" in words(receipt)
    assert _care(clinic, family.mother) is ConsentState.WITHDRAWN
    assert "Revision 1" in words(certificate)
    assert bundle.get_json()["certificate"]["revision"] == 1


def test_a_confirmation_of_something_else_is_shown_again(pages: Pages, clinic: Clinic) -> None:
    """People confirm what they saw; if it changed, they look again."""
    family = _agreed(clinic)
    guider = pages.as_("guider")
    form = _looks(guider, family, "now") | {"digest": "0" * 64}

    answer = guider.posts(f"/withdrawals/{family.involvement}/{family.mother}/confirm", **form)

    assert "Something changed since you looked" in words(answer)
    assert _care(clinic, family.mother) is ConsentState.GIVEN


def test_within_the_days_they_can_keep_it_after_all(pages: Pages, clinic: Clinic) -> None:
    """Changing one's mind again is a right too, until the last day."""
    family = _agreed(clinic)
    guider = pages.as_("guider")
    form = _looks(guider, family, "seven_days")
    guider.posts(f"/withdrawals/{family.involvement}/{family.mother}/confirm", **form)
    (act,) = withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement)

    done = guider.sends(f"/withdrawals/act/{act.id}/keep")

    assert "stays after all" in words(guider.follows(done))
    assert _care(clinic, family.mother) is ConsentState.GIVEN


def test_the_receipt_is_a_paper_for_the_parent(pages: Pages, clinic: Clinic) -> None:
    """They leave with it in their hand."""
    family = _agreed(clinic)
    guider = pages.as_("guider")
    form = _looks(guider, family, "now")
    guider.posts(f"/withdrawals/{family.involvement}/{family.mother}/confirm", **form)
    (act,) = withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement)

    paper = guider.opens(f"/withdrawals/act/{act.id}/receipt.pdf")

    assert paper.status_code == 200
    assert paper.data.startswith(b"%PDF-")
