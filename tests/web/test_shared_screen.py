"""The screen in front of the parent: this review and nothing else, and photos one by one."""

import re

import pytest

from consent_service.services import assets, cutting, handovers, reviews
from consent_service.services.assets import AssetView
from consent_service.services.cutting import MakeClip, MakeStill
from consent_service.services.reviews import ReviewView
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, words

ADDRESS = re.compile(r'(?:href|src|action)="([^"]*)"')


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everybody said yes, also to photos to keep."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PHOTO.KEEP"}))
    return family


@pytest.fixture
def film(clinic: Clinic, family: Family) -> AssetView:
    """Their film."""
    return clinic.stores_film(family)


@pytest.fixture
def clips(clinic: Clinic, film: AssetView) -> list[AssetView]:
    """Three moments of it; the last is never chosen."""
    names = ("She looks up", "Splashing", "He looks away")
    return [
        cutting.clip(clinic.ctx, clinic.guider, MakeClip(film.id, 0, 1000, name, "Only for me"))
        for name in names
    ]


@pytest.fixture
def review(clinic: Clinic, family: Family, film: AssetView, clips: list[AssetView]) -> ReviewView:
    """A review with the first two."""
    chosen = (clips[1].id, clips[0].id)
    wanted = reviews.RecordReview(family.involvement, film.id, clinic.today, chosen)
    return reviews.record_review(clinic.ctx, clinic.guider, wanted)


def _screens(review: ReviewView) -> list[str]:
    home = f"/families/{review.involvement}/reviews/{review.id}"
    return [home, f"{home}?clip=2", f"{home}/goals", f"{home}/summary", f"{home}/leave"]


def test_the_screen_holds_one_clip_of_this_review_and_nothing_else(
    pages: Pages, clinic: Clinic, family: Family, clips: list[AssetView], review: ReviewView
) -> None:
    """A parent reads what stands on it: other families, numbers and notes must not."""
    other = clinic.family()
    guider = pages.as_("guider")
    people = (family.mother, family.father, family.baby, other.mother, other.involvement)
    shown = {}
    for path in _screens(review):
        answer = guider.opens(path)
        html = shown[path] = answer.get_data(as_text=True)
        assert answer.status_code == 200, path
        for stranger in (*people, clips[2].id, "He looks away", "Invented", "Only for me", "<nav"):
            assert stranger not in html, (path, stranger)
        assert not re.search(r"\b999[ \N{NO-BREAK SPACE}]?\d{3}", html), path
        leads = {found for found in ADDRESS.findall(html) if found.startswith("/families/")}
        assert all(review.id in found for found in leads), (path, leads)

    first, second, *_ = shown.values()
    assert f"/films/{clips[1].id}/content" in first
    assert f"/films/{clips[0].id}/content" not in first, "one clip at a time, in the chosen order"
    assert f"/films/{clips[0].id}/content" in second
    assert "She looks up" in second


def test_the_screen_is_left_on_purpose(pages: Pages, review: ReviewView) -> None:
    """One wrong tap must not show the guider's other families."""
    guider = pages.as_("guider")
    home = f"/families/{review.involvement}/reviews/{review.id}"

    asked = guider.opens(f"{home}/leave")
    assert "Turn the screen away" in words(asked)
    left = guider.posts(f"{home}/leave")

    assert left.headers["Location"].endswith(f"/families/{review.involvement}/reviews")


def test_goals_are_rated_and_words_written_on_the_screen(
    pages: Pages, clinic: Clinic, family: Family, review: ReviewView
) -> None:
    """Numbers are the parent's; a goal left out stays as it was, and a slip can be put right."""
    goals = [
        reviews.record_goal(clinic.ctx, clinic.guider, family.involvement, family.mother, text)
        for text in ("To feel calm.", "More sleep.")
    ]
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}/reviews/{review.id}"

    for score in ("4", "6"):
        answer = guider.sends(f"{home}/goals", **{goals[0].id: score})
        assert answer.headers["Location"].endswith("/summary")
    guider.follows(answer)
    written = guider.posts(f"{home}/summary", strengths="You wait for her.", points="Say it.")
    read = guider.follows(written)

    known = {g.id: g for g in reviews.goals(clinic.ctx, clinic.guider, family.involvement)}
    assert known[goals[0].id].ratings == ((clinic.today, 6),), "of one day the last that was said"
    assert known[goals[1].id].ratings == ()
    assert "6 of 10 on 2 November 2026" in words(read)
    assert "<nav" not in read.get_data(as_text=True), "it is read and signed with the parent"
    filed = guider.follows(guider.posts(written.headers["Location"]))
    assert "It does not change any more" in words(filed)
    assert "<nav" not in filed.get_data(as_text=True)


def test_a_number_outside_the_scale_is_refused(
    pages: Pages, clinic: Clinic, family: Family, review: ReviewView
) -> None:
    """1 to 10, as it was asked."""
    goal = reviews.record_goal(
        clinic.ctx, clinic.guider, family.involvement, family.mother, "To feel calm."
    )

    path = f"/families/{family.involvement}/reviews/{review.id}/goals"
    answer = pages.as_("guider").sends(path, **{goal.id: "11"})

    assert answer.status_code == 400
    (kept,) = reviews.goals(clinic.ctx, clinic.guider, family.involvement)
    assert kept.ratings == ()


def test_a_picture_is_kept_while_watching_together(
    pages: Pages, clinic: Clinic, family: Family, clips: list[AssetView], review: ReviewView
) -> None:
    """A parent says "that one": it is there when photos are offered."""
    guider = pages.as_("guider")
    home = f"/families/{family.involvement}/reviews/{review.id}"

    guider.opens(home)
    wrong = guider.posts(f"{home}/photos?clip=1", at_ms="soon")
    kept = guider.follows(guider.posts(f"{home}/photos?clip=1", at_ms="0:00.5"))

    assert wrong.status_code == 400
    assert "The photo is kept" in words(kept)
    offer = guider.opens(f"/families/{family.involvement}/photos/offer")
    still = next(
        a
        for a in assets.assets(clinic.ctx, clinic.guider, family.involvement)
        if a.source == clips[1].id
    )
    assert still.id in offer.get_data(as_text=True)


def test_photos_are_shown_one_by_one_and_read_back_before_anything_is_written(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Nothing is decided by a slip: each answer can be changed until the last button."""
    stills = [
        cutting.still(clinic.ctx, clinic.guider, MakeStill(film.id, at)).id for at in (200, 1200)
    ]
    offered = handovers.offer(
        clinic.ctx, clinic.guider, family.involvement, family.mother, tuple(stills)
    )
    one, two = offered.items
    path = f"/families/{family.involvement}/photos/{offered.id}"
    guider = pages.as_("guider")

    first = guider.opens(path).get_data(as_text=True)
    assert one in first
    assert f"/films/{two}/content" not in first
    second = guider.posts(path, asked=one, **{f"photo-{one}": "decline"})
    assert f"/films/{two}/content" in second.get_data(as_text=True)
    answers = {f"photo-{one}": "decline", f"photo-{two}": "accept"}
    check = words(guider.posts(path, asked=two, **answers))
    assert "Photo 1: not kept" in check
    assert "Photo 2: kept" in check
    again = guider.posts(path, change=one, **answers).get_data(as_text=True)
    assert f"/films/{one}/content" in again
    assert handovers.handover(clinic.ctx, clinic.guider, offered.id).closed_at is None

    unsaid = guider.posts(path, **answers)
    assert unsaid.status_code == 400
    given = guider.follows(guider.posts(path, how="print", **answers))

    view = handovers.handover(clinic.ctx, clinic.guider, offered.id)
    assert view.items == {one: "declined", two: "accepted"}
    assert "Photo 2: accepted" in words(given)
    sheets = guider.opens(f"{path}/prints").get_data(as_text=True)
    assert f"/films/{two}/content" in sheets
    assert one not in sheets


def test_a_photo_that_may_not_be_kept_any_more_is_not_shown(
    pages: Pages, clinic: Clinic, family: Family, film: AssetView
) -> None:
    """A change of mind between the offer and the screen counts."""
    still = cutting.still(clinic.ctx, clinic.guider, MakeStill(film.id, 200)).id
    offered = handovers.offer(
        clinic.ctx, clinic.guider, family.involvement, family.mother, (still,)
    )
    clinic.withdraws(family, family.mother)

    page = pages.as_("guider").opens(f"/families/{family.involvement}/photos/{offered.id}")

    assert "cannot be given any more" in words(page)
    assert "/content" not in page.get_data(as_text=True)
