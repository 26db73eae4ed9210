"""Clips and photos beside the film: renamed, tagged, and removed for good."""

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.attunement import Principle
from consent_service.services import assets, cutting
from consent_service.services.assets import AssetView
from consent_service.services.cutting import MakeClip, MakeStill
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, words


@pytest.fixture
def clip(clinic: Clinic, family: Family) -> AssetView:
    """A moment of a film."""
    film = clinic.stores_film(family)
    return cutting.clip(clinic.ctx, clinic.guider, MakeClip(film.id, 0, 1000, "She looks up"))


def test_a_moment_is_renamed_and_tagged(pages: Pages, clinic: Clinic, clip: AssetView) -> None:
    """What was typed in a hurry is put right; the name stands beside the film."""
    guider = pages.as_("guider")
    guider.opens(f"/films/{clip.id}/name")

    nameless = guider.posts(f"/films/{clip.id}/name", title=" ")
    saved = guider.posts(
        f"/films/{clip.id}/name", title="A long look", principles=["guiding", "being_attentive"]
    )

    assert nameless.status_code == 400
    beside = words(guider.follows(saved))
    assert "A long look" in beside
    assert "Being attentive" in beside
    known = assets.asset(clinic.ctx, clinic.guider, clip.id)
    assert known.principles == (Principle.ATTENTIVE, Principle.GUIDING)


def test_a_clip_is_made_with_its_tags_and_cut_exactly(
    pages: Pages, clinic: Clinic, clip: AssetView
) -> None:
    """Nothing outside the marks is in a clip that must end before somebody else comes in."""
    guider = pages.as_("guider")
    guider.opens(f"/films/{clip.source}")

    answer = guider.posts(
        f"/films/{clip.source}/clips",
        start_ms="0:00.4",
        end_ms="0:01.2",
        title="Turn about",
        principles=["developing_attuned_interactions"],
        exact="y",
    )

    assert "Developing attuned interactions" in words(guider.follows(answer))
    found = assets.assets(clinic.ctx, clinic.guider, clip.involvement)
    made = next(a for a in found if a.title == "Turn about")
    assert (made.start_ms, made.cut) == (400, "re-encoded")


def test_a_moment_is_removed_after_asking_once_more(
    pages: Pages, clinic: Clinic, clip: AssetView
) -> None:
    """It is gone from the list at once, and nobody can watch it."""
    cutting.still(clinic.ctx, clinic.guider, MakeStill(clip.id, 200, "The smile"))
    guider = pages.as_("guider")

    asked = guider.opens(f"/films/{clip.id}/remove")
    assert "cannot be undone" in words(asked)
    answer = guider.posts(f"/films/{clip.id}/remove")

    beside = guider.follows(answer)
    assert "She looks up" not in words(beside)
    assert "The smile" in words(beside), "a photo taken from a clip stays"
    assert guider.opens(f"/films/{clip.id}/content?purpose=care").status_code == 410
    again = guider.posts(f"/films/{clip.id}/remove")
    assert again.status_code == 400
    assert assets.asset(clinic.ctx, clinic.guider, clip.id).state is AssetState.LOCKED


def test_a_supervisor_renames_and_removes_nothing(pages: Pages, clip: AssetView) -> None:
    """Whoever may watch a clip does not change it."""
    supervisor = pages.as_("supervisor")

    for verb in ("name", "remove"):
        assert supervisor.opens(f"/films/{clip.id}/{verb}").status_code == 403
