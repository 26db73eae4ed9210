"""Consent page by page, as a family and a guider go through it together."""

import json
import re
from typing import Any

from werkzeug.test import TestResponse

from consent_service.domain.consent import ConsentState
from consent_service.services import consent
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, words

SETUP = {
    "language": "en",
    "route": "in_person",
    "said_on__day": "2",
    "said_on__month": "11",
    "said_on__year": "2026",
    "capacity": "no_reason_to_doubt",
}


def _begins(visitor: Visitor, family: Family, person: str, **more: str) -> TestResponse:
    form: dict[str, Any] = {**SETUP, "leaflet_issue": family.issues[person], **more}
    return visitor.sends(f"/consents/{family.involvement}/{person}", **form)


def _answers(page: TestResponse, choose: str) -> dict[str, str]:
    """Return an answer for every question of a page: confirmed, `choose`, or the first choice."""
    html = page.get_data(as_text=True)
    chosen: dict[str, str] = {}
    for name, value in re.findall(r'name="(q\d+)" type="radio" value="([^"]+)"', html):
        if value in ("confirmed", choose):
            chosen[name] = value
        chosen.setdefault(name, value)
    for name in re.findall(r'name="(q\d+-(?:named|words))"', html):
        chosen[name] = "Gran Invented"
    return chosen


def _goes_through(visitor: Visitor, family: Family, person: str, choose: str = "yes") -> str:
    """Answer every part; return the address of the page that reads them back."""
    shown = visitor.follows(_begins(visitor, family, person))
    path = re.search(r'href="(/consents/draft/[0-9a-f]+/part/1)"', shown.get_data(as_text=True))
    assert path is not None, words(shown)
    where = path[1]
    while "/part/" in where:
        asked = visitor.opens(where)
        optional = "Other uses" in words(asked)
        answer = visitor.posts(where, **_answers(asked, "no" if optional else choose))
        assert answer.status_code == 302, words(answer)
        where = answer.headers["Location"]
    return where


def _care(clinic: Clinic, person: str) -> ConsentState:
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, person, now, now)
    return next(v.state for v in views if v.purpose == "care")


def test_consent_goes_from_words_to_answers_to_read_back_to_signature(
    pages: Pages, clinic: Clinic
) -> None:
    """This is the promise the whole service holds: exact words, own answers, a signature."""
    family = clinic.family()
    guider = pages.as_("guider")

    check = _goes_through(guider, family, family.mother)
    read_back = guider.opens(check)
    sign = check.replace("/check", "/sign")
    done = guider.sends(sign, how="typed", typed_name="Rosa Invented")

    assert "Check the answers" in words(read_back)
    ended = guider.follows(done)
    assert "The answers are recorded" in words(ended)
    act = re.search(r'href="(/consents/[0-9a-f]{32})"', ended.get_data(as_text=True))
    assert act is not None
    shown = words(guider.opens(act[1]))
    assert "CARE.FILM.SELF" in shown
    assert _care(clinic, family.mother) is ConsentState.GIVEN
    assert guider.opens(sign).status_code == 404


def test_a_no_is_an_outcome_with_an_end_of_its_own(pages: Pages, clinic: Clinic) -> None:
    """A no that has no place to be written down is no free choice."""
    family = clinic.family()
    guider = pages.as_("guider")

    check = _goes_through(guider, family, family.mother, choose="no")
    done = guider.sends(check.replace("/check", "/sign"), how="typed", typed_name="Rosa Invented")

    ended = words(guider.follows(done))
    assert "The answers are recorded" in ended
    assert "their care stays the same" in ended
    assert "Copy (PDF)" in ended
    assert _care(clinic, family.mother) is ConsentState.DECLINED


def test_a_drawn_signature_is_kept_as_numbers_only(pages: Pages, clinic: Clinic) -> None:
    """What a browser sends is never trusted to be a picture."""
    family = clinic.family()
    guider = pages.as_("guider")
    points = [{"x": 1.26, "y": 2, "time": 5, "evil": "<svg>"}, {"x": 9, "y": 9}]
    strokes = json.dumps([{"penColor": "<script>", "points": points}])

    check = _goes_through(guider, family, family.mother)
    guider.sends(check.replace("/check", "/sign"), how="drawn", strokes=strokes)

    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    assert act.signature.content == {"strokes": [[{"x": 1.3, "y": 2.0}, {"x": 9.0, "y": 9.0}]]}


def test_an_empty_signature_is_refused_and_the_answers_are_kept(
    pages: Pages, clinic: Clinic
) -> None:
    """A mistake on the last page must not cost the whole conversation."""
    family = clinic.family()
    guider = pages.as_("guider")

    check = _goes_through(guider, family, family.mother)
    refused = guider.sends(check.replace("/check", "/sign"), how="drawn", strokes="")

    assert refused.status_code == 400
    assert "Draw a signature" in words(refused)
    assert "Yes" in words(guider.opens(check))
    assert consent.acts(clinic.ctx, clinic.guider, family.involvement) == []


def test_a_page_left_empty_names_its_line_and_the_rest_is_kept(
    pages: Pages, clinic: Clinic
) -> None:
    """Unanswered is not yes; nor is the rest thrown away."""
    family = clinic.family()
    guider = pages.as_("guider")
    shown = guider.follows(_begins(guider, family, family.mother))
    part = re.search(r"/consents/draft/[0-9a-f]+/part/1", shown.get_data(as_text=True))
    assert part is not None

    kept = guider.sends(part[0], q0="confirmed")
    second = kept.headers["Location"]
    answer = guider.sends(second)

    html = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert 'href="#q0"' in html
    assert "Answer this line: I know that it is my choice" in words(answer)
    first = guider.opens(part[0]).get_data(as_text=True)
    assert re.search(r'name="q0" type="radio" value="confirmed" checked', first)


def test_who_cannot_decide_now_is_asked_another_day(pages: Pages, clinic: Clinic) -> None:
    """Nobody answers in an adult's place, and nobody is forgotten."""
    family = clinic.family()
    guider = pages.as_("guider")
    day = {"ask_again_on__day": "9", "ask_again_on__month": "11", "ask_again_on__year": "2026"}

    asked = guider.follows(
        _begins(guider, family, family.mother, capacity="lacks_capacity_now", **day)
    )
    done = guider.posts(asked.request.path)

    assert "on which day you will ask again" in words(guider.follows(done))
    assert _care(clinic, family.mother) is not ConsentState.GIVEN


def test_a_draft_belongs_to_who_began_it(pages: Pages, clinic: Clinic) -> None:
    """Half-given answers are nobody else's business."""
    family = clinic.family()
    begun = _begins(pages.as_("guider"), family, family.mother)

    assert pages.as_("ig").opens(begun.headers["Location"]).status_code in (403, 404)


def test_consent_is_not_asked_before_the_leaflet(pages: Pages, clinic: Clinic) -> None:
    """A yes without the words to decide on would not count."""
    family = clinic.family()
    guider = pages.as_("guider")

    led = guider.opens(f"/consents/{family.involvement}/{family.baby}")

    assert led.status_code == 302
    assert "/leaflets/give/" in led.headers["Location"]


def test_the_parents_copy_is_a_pdf_whose_name_says_nothing(pages: Pages, clinic: Clinic) -> None:
    """The file lands in a download folder that others may see."""
    family = clinic.family()
    act = clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    copy = pages.as_("guider").opens(f"/consents/{act.id}/copy.pdf")

    assert copy.status_code == 200
    assert copy.data.startswith(b"%PDF-")
    assert "Rosa" not in copy.headers["Content-Disposition"]
