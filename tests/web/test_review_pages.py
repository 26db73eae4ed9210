"""Shared reviews, goals, photos to keep and what parents say, as pages."""

import re

import pytest

from consent_service.domain.audit import EventKind
from consent_service.services import assets, cutting, handovers, reviews, said_and_given
from consent_service.services.assets import AssetView
from consent_service.services.cutting import MakeClip, MakeStill
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, kinds_recorded, words

PHOTOS_TO_KEEP = frozenset({"PHOTO.KEEP"})


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everybody said yes, also to photos to keep."""
    family = clinic.family()
    clinic.both_consent(family, optional=PHOTOS_TO_KEEP)
    return family


@pytest.fixture
def film(clinic: Clinic, family: Family) -> AssetView:
    """Their film."""
    return clinic.stores_film(family)


def _day(clinic: Clinic, name: str) -> dict[str, object]:
    day = clinic.today
    return {f"{name}-day": day.day, f"{name}-month": day.month, f"{name}-year": day.year}


def _leads_to(guider: Visitor) -> str:
    assert guider.last is not None
    assert guider.last.status_code == 302, words(guider.last)
    return guider.last.headers["Location"]


def test_a_review_shows_its_clips_and_nothing_else_and_ends_in_a_filed_summary(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """The heart of the work: chosen moments, the parent's words, one durable record."""
    clip = cutting.clip(clinic.ctx, clinic.guider, MakeClip(film.id, 0, 1500, "She looks up"))
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}"

    guider.sends(
        f"{home}/reviews/add", recording=film.id, clips=[clip.id], **_day(clinic, "held_on")
    )
    shown = guider.opens(_leads_to(guider))
    html = shown.get_data(as_text=True)
    assert f"/films/{clip.id}/content" in html
    assert f"/films/{film.id}/content" not in html
    review = reviews.reviews(clinic.ctx, clinic.guider, family.involvement)[0]

    guider.sends(
        f"{home}/reviews/{review.id}/summary",
        strengths="They look at each other.",
        points="Wait a little longer.",
        next_step="Film at bedtime.",
    )
    back = _leads_to(guider)
    read = words(guider.opens(back))
    assert "They look at each other." in read
    guider.sends(back)
    filed = guider.follows(guider.last)  # type: ignore[arg-type]

    assert "It does not change any more" in words(filed)
    paper = guider.opens(f"{back.removesuffix('/file')}/summary.pdf")
    assert paper.mimetype == "application/pdf"
    assert paper.data.startswith(b"%PDF")
    assert EventKind.SUMMARY_FILED in kinds_recorded(clinic)
    changed = guider.sends(f"{home}/reviews/{review.id}/summary", strengths="x", points="y")
    assert changed.status_code == 400
    assert "does not change" in words(changed)


def test_a_clip_that_was_withdrawn_is_not_shown_in_its_review(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """A review that was planned does not outlive a change of mind."""
    clip = cutting.clip(clinic.ctx, clinic.guider, MakeClip(film.id, 0, 1500, "She looks up"))
    wanted = reviews.RecordReview(family.involvement, film.id, clinic.today, (clip.id,))
    review = reviews.record_review(clinic.ctx, clinic.guider, wanted)
    clinic.withdraws(family, family.mother)

    page = pages.as_("guider").opens(f"/families/{family.involvement}/reviews/{review.id}")

    assert page.status_code == 200
    assert "/content" not in page.get_data(as_text=True)
    assert "cannot be watched any more" in words(page)


def test_a_goal_is_rated_and_drawn(pages: Pages, clinic: Clinic, family: Family) -> None:
    """The parent sees how far they came, in numbers and as a line."""
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}/goals"
    guider.sends(home, words="I want to feel calm.", person=family.mother)
    goal = reviews.goals(clinic.ctx, clinic.guider, family.involvement)[0]

    wrong = guider.sends(f"{home}/{goal.id}/rate", **_day(clinic, "rated_on"))
    for score in ("3", "7"):
        again = pages.as_("guider")
        again.sends(f"{home}/{goal.id}/rate", score=score, **_day(clinic, "rated_on"))
        clinic.passes(days=14)
    page = pages.as_("guider").opens(home)

    assert wrong.status_code == 400
    assert 'href="#score"' in wrong.get_data(as_text=True)
    assert "7 of 10" in words(page)
    assert "<polyline" in page.get_data(as_text=True)


def test_photos_are_accepted_one_by_one_with_a_receipt(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """What was given away cannot be called back: so it is asked photo by photo."""
    stills = [
        cutting.still(clinic.ctx, clinic.guider, MakeStill(film.id, at, name))
        for at, name in ((200, "Smile"), (1200, "Bath"))
    ]
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}/photos"

    asked = {"person": family.mother, "stills": [s.id for s in stills]}
    careless = guider.sends(f"{home}/offer", **asked)
    assert careless.status_code == 400
    assert "nobody else" in words(careless)
    guider.sends(f"{home}/offer", **asked, looked="y")
    offer = _leads_to(guider)
    undecided = guider.sends(offer, how="print", **{f"photo-{stills[0].id}": "accept"})
    assert undecided.status_code == 400
    assert f'href="#photo-{stills[1].id}"' in undecided.get_data(as_text=True)
    answers = {f"photo-{stills[0].id}": "accept", f"photo-{stills[1].id}": "decline"}
    guider.sends(offer, how="print", **answers)

    done = guider.opens(_leads_to(guider))
    place = sorted(s.id for s in stills).index(stills[0].id) + 1
    assert f"Photo {place}: accepted" in words(done)
    assert guider.opens(f"{offer}/receipt.pdf").data.startswith(b"%PDF")
    view = handovers.handovers(clinic.ctx, clinic.guider, family.involvement)[0]
    assert view.items == {stills[0].id: "accepted", stills[1].id: "declined"}
    assert view.how == "print"


def test_a_photo_without_permission_to_keep_is_not_offered(pages: Pages, clinic: Clinic) -> None:
    """Being filmed is one thing, a photo on somebody's wall another."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    cutting.still(clinic.ctx, clinic.guider, MakeStill(film.id, 200))

    page = pages.as_("guider").opens(f"/families/{family.involvement}/photos/offer")

    assert "Photos that may not be kept" in words(page)
    assert "have not said yes to photos to keep" in words(page)


def test_words_are_printed_only_with_leave_that_can_be_ended(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Rule 18: exact words, an audience, an end, and a way back."""
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}"
    guider.sends(f"{home}/feedback/add", person=family.mother, words="It helped us.")
    guider.follows(guider.last)  # type: ignore[arg-type]
    asked = {"person": family.mother, "words": "It helped us.", "audience": "our leaflet"}
    past = guider.sends(f"{home}/quotes/add", **asked, **_day(clinic, "until_on"))
    assert past.status_code == 400
    later = {"until_on-day": 1, "until_on-month": 6, "until_on-year": 2027}
    guider.sends(f"{home}/quotes/add", **asked, **later)
    page = words(guider.follows(guider.last))  # type: ignore[arg-type]
    assert "Until 1 June 2027" in page
    quote = said_and_given.quotes(clinic.ctx, clinic.guider, family.involvement)[0]

    guider.posts(f"{home}/quotes/{quote.id}/end")

    assert "Ended 2 November 2026" in words(guider.follows(guider.last))  # type: ignore[arg-type]


def test_what_leaves_the_service_needs_its_own_permission(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """A copy elsewhere is beyond our reach, so the use is checked first and then written down."""
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}/disclosures"
    wanted = {"asset": film.id, "recipient": "The other team", **_day(clinic, "disclosed_on")}

    refused = guider.sends(f"{home}/add", purpose="research", **wanted)
    assert refused.status_code == 400
    guider.sends(f"{home}/add", purpose="care", **wanted)
    assert "The other team" in words(guider.follows(guider.last))  # type: ignore[arg-type]
    gone = said_and_given.disclosures(clinic.ctx, clinic.guider, family.involvement)[0]
    guider.sends(f"{home}/{gone.id}/back", **_day(clinic, "on"))

    assert "Taken back 2 November 2026" in words(guider.follows(guider.last))  # type: ignore[arg-type]


def test_a_supervisor_opens_no_review(pages: Pages, clinic: Clinic, family: Family) -> None:
    """Goals and summaries are between the family and their guider."""
    supervisor = pages.as_("supervisor")

    for path in ("reviews", "goals", "photos", "photos/offer"):
        assert supervisor.opens(f"/families/{family.involvement}/{path}").status_code == 403


def test_ids_of_another_family_do_not_open_here(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """A review belongs to one family; another family's address must not show it."""
    wanted = reviews.RecordReview(family.involvement, film.id, clinic.today)
    review = reviews.record_review(clinic.ctx, clinic.guider, wanted)
    other = clinic.family()

    page = pages.as_("guider").opens(f"/families/{other.involvement}/reviews/{review.id}")

    assert page.status_code == 404
    assert not re.search("Watch together", words(page))
    assert assets.asset(clinic.ctx, clinic.guider, film.id).id == film.id
