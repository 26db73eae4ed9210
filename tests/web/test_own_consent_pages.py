"""Answering a consent by link, and the guider's page that makes links."""

import re
from pathlib import Path

from consent_service.domain.consent import ConsentState
from consent_service.domain.links import LinkKind
from consent_service.services import consent, policies
from consent_service.web import here
from tests.support.clinic import Clinic, Family
from tests.support.databases import Databases
from tests.support.forms import add_version, clinic_with_own_policies
from tests.support.own_links import answer_all, answers_on, holding, make_link, states
from tests.support.pages import Pages, open_pages, words


def test_a_yes_by_link_counts_once_the_guider_has_confirmed_it(
    pages: Pages, clinic: Clinic
) -> None:
    """Nobody was there when it was signed: a clinician's finding comes before film (rule 14)."""
    family = clinic.family()
    path = make_link(clinic, family, LinkKind.CONSENT)
    visitor = holding(pages, path)

    answer_all(visitor)
    done = words(visitor.opens("/own/consent/done"))
    waiting = states(clinic, family.mother)["care"]
    act = consent.acts(clinic.ctx, clinic.guider, family.involvement)[0]
    clinic.passes(minutes=1)
    consent.check_late(clinic.ctx, clinic.guider, act.id)

    assert "Thank you" in done
    assert waiting is not ConsentState.GIVEN
    assert states(clinic, family.mother)["care"] is ConsentState.GIVEN
    assert (act.route.value, act.recorded_by) == ("remote_link", family.mother)
    assert visitor.opens("/own/consent/copy.pdf").data.startswith(b"%PDF")


def test_a_no_by_link_counts_at_once(pages: Pages, clinic: Clinic, family: Family) -> None:
    """A no that waited for somebody's leave would be no right at all."""
    visitor = holding(pages, make_link(clinic, family, LinkKind.CONSENT))

    answer_all(visitor, no=True)

    assert states(clinic, family.mother)["care"] is ConsentState.DECLINED


def test_deciding_later_keeps_nothing_and_the_link(pages: Pages, clinic: Clinic) -> None:
    """Half an answer left behind would be read by whoever opens the link next."""
    family = clinic.family()
    path = make_link(clinic, family, LinkKind.CONSENT)
    visitor = holding(pages, path)
    visitor.sends("/own/consent")
    first = visitor.opens("/own/consent/page/1").get_data(as_text=True)
    visitor.posts("/own/consent/page/1", **answers_on(first, no=False))

    visitor.opens("/own/consent/check")
    later = visitor.posts("/own/consent/later")
    again = holding(pages, path)

    assert "Nothing was kept" in words(later)
    assert again.opens("/own/consent/check").status_code == 404
    assert consent.acts(clinic.ctx, clinic.guider, family.involvement) == []


def test_the_same_answers_by_link_and_with_a_guider_are_bound_to_the_same_words(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A consent from home must be worth what one in the room is: the same text, word for word."""
    answer_all(holding(pages, make_link(clinic, family, LinkKind.CONSENT)))

    acts = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    digests = {act.rendered_sha256 for act in acts if act.person == family.mother}

    assert len(acts) == 3
    assert len(digests) == 1


def test_answers_given_on_other_words_are_asked_again(databases: Databases, tmp_path: Path) -> None:
    """Nobody signs words that they never saw (rule 2): a new version begins the reading anew."""
    with clinic_with_own_policies(databases, tmp_path) as clinic:
        pages, family = open_pages(clinic), clinic.family()
        visitor = holding(pages, make_link(clinic, family, LinkKind.CONSENT))
        visitor.sends("/own/consent")
        visitor.opens("/own/consent/words")
        first = visitor.opens("/own/consent/page/1").get_data(as_text=True)
        visitor.posts("/own/consent/page/1", **answers_on(first, no=False))
        visitor.opens("/own/consent/check")
        add_version(clinic)
        policies.publish(clinic.ctx, clinic.ig, "consent-forms/vig/v2", material=True)
        pages.app.extensions[here.EXTENSION] = clinic.ctx

        sent = visitor.posts("/own/consent/sign", how="typed", typed_name="Rosa Invented")

        assert sent.headers["Location"] == "/own/consent/words"
        assert "Something changed since you looked." in words(visitor.opens("/own/consent/words"))
        assert visitor.opens("/own/consent/sign").headers["Location"] == "/own/consent/check"
        assert consent.acts(clinic.ctx, clinic.guider, family.involvement) == []


def test_a_signed_link_shows_its_copy_and_asks_nothing_again(pages: Pages, clinic: Clinic) -> None:
    """One act, one link: a second signature would be a second consent that nobody asked for."""
    family = clinic.family()
    visitor = holding(pages, make_link(clinic, family, LinkKind.CONSENT))
    answer_all(visitor)

    assert visitor.opens("/own/consent/sign").status_code == 409
    assert visitor.opens("/own/inside").headers["Location"] == "/own/consent/done"
    clinic.passes(hours=3)
    assert visitor.opens("/own/consent/copy.pdf").status_code == 401


def test_a_guider_makes_a_link_sees_it_once_and_ends_it(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A link that could be looked up again later could be looked up by others."""
    guider, place = pages.as_("guider"), f"/links/{family.involvement}/{family.mother}"
    made = guider.sends(place, kind="parent", language="en").get_data(as_text=True)
    address = re.search(r'id="address">http://[^/]+(/link/[\w-]{43})<', made)
    assert address and "data:image/svg+xml;base64," in made
    visitor = holding(pages, address[1])

    listing = guider.opens(place).get_data(as_text=True)
    assert address[1] not in listing
    end = re.search(r'action="(/links/[0-9a-f]{32}/end)"', listing)
    assert end
    guider.posts(end[1])

    assert visitor.opens("/own").status_code == 401


def test_a_link_for_consent_needs_the_finding_that_they_can_decide(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Who cannot decide now is not sent a form to sign at home."""
    guider, place = pages.as_("guider"), f"/links/{family.involvement}/{family.mother}"

    for found in ("", "lacks_capacity_now"):
        answer = guider.sends(place, kind="consent", language="en", capacity=found)
        assert answer.status_code == 400
        assert "asked another day" in words(answer)
