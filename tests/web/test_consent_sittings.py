"""Consent in several sittings: half done and gone on with, after filming, after a change, on paper."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from werkzeug.test import TestResponse

from consent_service.domain.consent import ConsentState
from consent_service.services import consent, drafts, policies
from tests.support.clinic import Clinic, Family
from tests.support.databases import Databases
from tests.support.forms import add_version, clinic_with_own_policies
from tests.support.pages import Pages, Visitor, open_pages, words

SETUP = {
    "language": "en",
    "route": "in_person",
    "said_on__day": "2",
    "said_on__month": "11",
    "said_on__year": "2026",
    "capacity": "no_reason_to_doubt",
}


@pytest.fixture
def own_policies(databases: Databases, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic with a policy folder of its own, so that a form may get a second version."""
    with clinic_with_own_policies(databases, tmp_path) as clinic:
        yield clinic


def _begins(visitor: Visitor, family: Family, person: str, query: str = "", **more: str) -> str:
    """Say who answers and how; return the address of the first question."""
    form: dict[str, Any] = {**SETUP, "leaflet_issue": family.issues[person], **more}
    shown = visitor.follows(
        visitor.sends(f"/consents/{family.involvement}/{person}{query}", **form)
    )
    path = re.search(r'href="(/consents/draft/[0-9a-f]+/part/1)"', shown.get_data(as_text=True))
    assert path is not None, words(shown)
    return path[1]


def _chosen(page: TestResponse, wanted: tuple[str, ...]) -> dict[str, str]:
    html = page.get_data(as_text=True)
    offered: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="(q\d+)" type="radio" value="([^"]+)"', html):
        offered.setdefault(name, []).append(value)
    return {
        name: next((value for value in values if value in wanted), values[0])
        for name, values in offered.items()
    }


def _answers(visitor: Visitor, where: str, *wanted: str, pages: int = 99) -> str:
    """Answer page after page until the read-back, or for so many pages; return where that leads."""
    while "/part/" in where and pages:
        shown = visitor.opens(where)
        answer = visitor.posts(where, **_chosen(shown, wanted))
        assert answer.status_code == 302, words(answer)
        where, pages = answer.headers["Location"], pages - 1
    return where


def _state(clinic: Clinic, person: str, purpose: str) -> ConsentState:
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, person, now, now)
    return next(v.state for v in views if v.purpose == purpose)


def test_what_is_half_done_stands_on_the_familys_page_until_it_is_done_or_thrown_away(
    pages: Pages, clinic: Clinic
) -> None:
    """A baby wakes up: what was said is kept, nothing counts, and nobody has to look for it."""
    family = clinic.family()
    guider = pages.as_("guider")
    third = _answers(guider, _begins(guider, family, family.mother), "confirmed", pages=2)

    home = f"/families/{family.involvement}"
    shown = guider.opens(home)
    assert "Half done: Rosa Invented began to answer" in words(shown)
    assert "goes by itself on 2 December 2026" in words(shown)
    assert "Half done" not in words(pages.as_("ig").opens(home))
    (draft,) = drafts.mine(clinic.ctx, clinic.guider, family.involvement)
    assert guider.opens(f"/consents/draft/{draft.id}").headers["Location"] == third
    assert "have not finished" in words(
        guider.opens(f"/consents/{family.involvement}/{family.mother}")
    )
    assert _state(clinic, family.mother, "care") is ConsentState.NOT_ASKED

    guider.opens(home)
    gone = guider.posts(f"/consents/draft/{draft.id}/throw-away")
    assert "It is thrown away" in words(guider.follows(gone))
    assert drafts.mine(clinic.ctx, clinic.guider, family.involvement) == []


def test_who_answers_for_whom_stands_before_the_first_question(
    pages: Pages, clinic: Clinic
) -> None:
    """A yes for a child from somebody who may not decide is worth nothing."""
    family = clinic.family()

    asked = words(pages.as_("guider").opens(f"/consents/{family.involvement}/{family.mother}"))

    assert "Rosa Invented answers for themselves" in asked
    assert "They also answer for Mina Invented : gave birth to the child" in asked


def test_the_next_person_is_offered_in_the_same_sitting(pages: Pages, clinic: Clinic) -> None:
    """Both parents are on the sofa; the guider should not have to think of the second."""
    family = clinic.family()
    guider = pages.as_("guider")
    optional = _answers(
        guider, _begins(guider, family, family.mother), "confirmed", "yes", pages=12
    )
    check = _answers(guider, optional, "no")
    done = guider.follows(
        guider.sends(check.replace("/check", "/sign"), how="typed", typed_name="Rosa Invented")
    )

    assert "Ask Jonas Invented" in words(done)
    assert f"/consents/{family.involvement}/{family.father}" in done.get_data(as_text=True)


def test_other_uses_are_asked_about_after_filming_and_nothing_else_is(
    pages: Pages, clinic: Clinic
) -> None:
    """Then they know what was filmed. What they said about filming is not touched (rule 11)."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}"
    assert "Rosa Invented knows now what was filmed" in words(guider.opens(home))
    assert "Ask about other uses" in words(guider.opens(home))

    first = _begins(guider, family, family.mother, "?about=uses")
    assert "Page 1 of 4" in words(guider.opens(first))
    check = _answers(guider, first, "no")
    read_back = words(guider.opens(check))
    assert "teach staff" in read_back
    assert "I agree to be filmed" not in read_back
    guider.sends(check.replace("/check", "/sign"), how="typed", typed_name="Rosa Invented")

    assert _state(clinic, family.mother, "training-local") is ConsentState.DECLINED
    assert "Rosa Invented knows now" not in words(guider.opens(home))
    assert _state(clinic, family.mother, "care") is ConsentState.GIVEN


def test_a_sitting_about_other_uses_needs_one_answer(pages: Pages, clinic: Clinic) -> None:
    """Nothing answered is nothing to sign."""
    family = clinic.family()
    guider = pages.as_("guider")
    first = _begins(guider, family, family.mother, "?about=uses")

    check = words(guider.opens(first.replace("/part/1", "/check")))

    assert "Not finished" in check
    assert "go on to sign" not in check


def test_answers_given_on_older_words_are_let_go_and_the_change_is_shown(
    own_policies: Clinic,
) -> None:
    """A yes belongs to the words it was given on; a form published at noon has others (rule 2)."""
    clinic = own_policies
    family = clinic.family()
    clinic.both_consent(family)
    guider = open_pages(clinic).as_("guider")
    half = _answers(guider, _begins(guider, family, family.mother), "confirmed", pages=2)
    add_version(clinic)
    policies.publish(clinic.ctx, clinic.ig, "consent-forms/vig/v2", material=True)
    guider = open_pages(clinic).as_("guider")

    shown = guider.opens(half)
    (draft,) = drafts.mine(clinic.ctx, clinic.guider, family.involvement)
    assert "The words of the form have changed since" in words(shown)
    assert draft.body["answers"] == {}

    asked = guider.opens(f"/consents/{family.involvement}/{family.mother}")
    assert "The form has changed since they answered version 1" in words(asked)
    first = _begins(guider, family, family.mother)
    told = words(guider.opens(first.replace("/part/1", "/words")))
    assert "What is different from the last time" in told
    assert "New: I know that my guider writes down in the health record" in told
    stop = words(guider.opens(first.replace("/part/1", "/part/4")))
    assert "Changed since last time" in stop
    assert "How it read before" in stop
    assert "New since last time" in words(guider.opens(first.replace("/part/1", "/part/5")))


def test_paper_is_recorded_with_its_scan_and_waits_for_somebody_else(
    pages: Pages, clinic: Clinic
) -> None:
    """Who typed the answers in cannot be the one who finds them right."""
    family = clinic.family()
    guider = pages.as_("guider")
    first = _begins(guider, family, family.mother, route="paper")
    check = _answers(guider, first, "confirmed", "yes", pages=3)
    check = _answers(guider, check, "no")
    sign = check.replace("/check", "/sign")
    assert "Choose the scan" in words(guider.sends(sign, how="paper"))
    assert "cannot be read" in words(guider.posts(sign, how="paper", scan=(_scan(b"MZ"), "a.png")))
    assert consent.acts(clinic.ctx, clinic.guider, family.involvement) == []

    done = guider.posts(sign, how="paper", scan=(_scan(), "a.png"))
    assert "Waits for a second person" in words(guider.follows(done))
    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    assert _state(clinic, family.mother, "care") is ConsentState.NOT_ASKED
    assert "Papers to check" in words(guider.opens("/governance/late-consents"))
    own = guider.opens(f"/consents/{act.id}")
    assert "You wrote this down yourself" in words(own)
    assert guider.posts(f"/consents/{act.id}/confirm").status_code == 403

    other = pages.as_("supervisor")
    compared = other.opens(f"/consents/{act.id}")
    assert "Compare each answer with the scan" in words(compared)
    picture = pages.as_("supervisor").opens(f"/consents/{act.id}/scan")
    assert picture.mimetype == "image/jpeg"
    assert picture.headers["Cache-Control"] == "no-store"
    other.posts(f"/consents/{act.id}/confirm")
    assert _state(clinic, family.mother, "care") is ConsentState.GIVEN


def test_a_scan_of_several_photos_is_added_later_as_one_paper(pages: Pages, clinic: Clinic) -> None:
    """The scanner stands in the office, the talk was at home."""
    family = clinic.family()
    guider = pages.as_("guider")
    check = _answers(
        guider, _begins(guider, family, family.mother, route="paper"), "confirmed", "no"
    )
    guider.sends(check.replace("/check", "/sign"), how="typed", typed_name="Rosa Invented")
    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    guider.opens(f"/consents/{act.id}")

    other = pages.as_("supervisor")
    assert "I compared it" not in words(other.opens(f"/consents/{act.id}"))
    assert "No scan of the paper" in words(other.opens("/governance/late-consents"))
    other.opens("/sign-out")  # any page with a form of its own
    assert "Attach the scan" in words(other.posts(f"/consents/{act.id}/confirm"))
    guider = pages.as_("guider")
    guider.opens(f"/consents/{act.id}")
    assert "Choose the scan" in words(guider.posts(f"/consents/{act.id}/scan"))
    photos = [(_scan(), "one.png"), (_scan(), "two.png")]
    kept = guider.posts(f"/consents/{act.id}/scan", scan=photos)

    assert "Open the scan (PDF)" in words(guider.follows(kept))
    assert guider.opens(f"/consents/{act.id}/scan").data.startswith(b"%PDF-")


def test_a_file_within_a_form_is_never_put_on_a_disk(pages: Pages) -> None:
    """A scan shows a name and a hand: temporary files outlive the request that made them."""
    large = b"x" * (3 * 1024 * 1024)

    with pages.app.test_request_context(
        "/", method="POST", data={"scan": (io.BytesIO(large), "a.pdf")}
    ) as asked:
        held = asked.request.files["scan"].stream

    assert isinstance(held, io.BytesIO)


def _scan(content: bytes | None = None) -> io.BytesIO:
    held = io.BytesIO(content or b"")
    if content is None:
        Image.new("RGB", (320, 200), "white").save(held, "PNG")
        held.seek(0)
    return held
