"""Clips and photos after they were cut: named anew, and removed when nobody needs them."""

import pytest

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetKind, AssetState, RecordClass
from consent_service.domain.attunement import Principle
from consent_service.domain.audit import EventKind
from consent_service.domain.holds import HoldKind
from consent_service.errors import Conflict, Gone, InvalidInput, NotFound, Refused
from consent_service.services import assets, certificates, cutting, erasure, holds, kept_moments
from consent_service.services.assets import AssetView
from consent_service.services.kept_moments import DescribeCut
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family, sample_film


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everyone has said yes to `care`."""
    found = clinic.family()
    clinic.both_consent(found)
    return found


@pytest.fixture
def film(clinic: Clinic, family: Family) -> AssetView:
    """Two seconds of that family."""
    return clinic.stores_film(family, sample_film(2.0))


@pytest.fixture
def clip(clinic: Clinic, film: AssetView) -> AssetView:
    """A second of it, with what was noticed."""
    tags = (Principle.RECEIVING, Principle.ATTENTIVE)
    wanted = cutting.MakeClip(film.id, 0, 1000, "She looks up", "A look", principles=tags)
    return cutting.clip(clinic.ctx, clinic.guider, wanted)


def _removes(clinic: Clinic, asset: AssetView) -> None:
    kept_moments.remove(clinic.ctx, clinic.guider, asset.id)
    erasure.work(clinic.ctx, "test")


def test_a_moment_keeps_what_was_noticed_in_it(clinic: Clinic, clip: AssetView) -> None:
    """Principles help to find a moment again; they stand in the order in which they build up."""
    assert clip.principles == (Principle.ATTENTIVE, Principle.RECEIVING)
    wanted = DescribeCut(clip.id, " Looking up ", "", (Principle.TAKING_TURNS,))

    view = kept_moments.describe(clinic.ctx, clinic.guider, wanted)

    assert (view.title, view.noticed) == ("Looking up", None)
    assert view.principles == (Principle.TAKING_TURNS,)
    (written,) = clinic.written_down(EventKind.ASSET_DESCRIBED)
    assert written.event.details["fields"] == ["title", "noticed", "principles"]
    assert "Looking" not in str(written.event.details), "words about a family are in no log"


def test_a_clip_without_a_name_is_refused(clinic: Clinic, clip: AssetView) -> None:
    """A clip is chosen by its name; a photo is chosen by looking."""
    with pytest.raises(InvalidInput):
        kept_moments.describe(clinic.ctx, clinic.guider, DescribeCut(clip.id, " "))


def test_a_removed_clip_is_erased_and_certified_and_nothing_else_goes(
    clinic: Clinic, film: AssetView, clip: AssetView
) -> None:
    """A clip cut by mistake goes like everything goes; film and photos stay."""
    photo = cutting.still(clinic.ctx, clinic.guider, cutting.MakeStill(clip.id, 200))

    reference = kept_moments.remove(clinic.ctx, clinic.guider, clip.id)

    with pytest.raises(Gone):
        clinic.watches(clip.id)
    erasure.work(clinic.ctx, "test")
    gone = assets.asset(clinic.ctx, clinic.guider, clip.id)
    assert (gone.state, gone.order) == (AssetState.ERASED, reference)
    assert (gone.title, gone.noticed, gone.principles) == (None, None, ())
    assert clinic.watches(film.id)
    assert clinic.watches(photo.id)
    (order,) = whole_lists.orders(clinic.ctx, clinic.ig)
    assert certificates.certificate(clinic.ctx, clinic.ig, order.id).revision == 1


def test_what_was_filmed_is_not_removed_like_a_clip(clinic: Clinic, film: AssetView) -> None:
    """A recording goes by withdrawal or retention, never by a guider's click."""
    with pytest.raises(Conflict, match="clip or a photo"):
        kept_moments.remove(clinic.ctx, clinic.guider, film.id)


def test_a_hold_keeps_a_clip(clinic: Clinic, family: Family, clip: AssetView) -> None:
    """Any hold wins (rule 8)."""
    wanted = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint came in")
    holds.place(clinic.ctx, clinic.ig, wanted)

    with pytest.raises((Conflict, Refused)):
        _removes(clinic, clip)

    assert assets.asset(clinic.ctx, clinic.guider, clip.id).kind is AssetKind.CLIP
    assert f"{clip.id}.1" in clinic.objects()


def test_a_clip_of_the_health_record_stays(clinic: Clinic, clip: AssetView) -> None:
    """What the form called a record is not a guider's to remove (rule 7)."""
    with clinic.ctx.begin() as uow:
        uow.session.get_one(Asset, clip.id).record_class = RecordClass.HEALTH_RECORD

    with pytest.raises(Conflict, match="health record"):
        _removes(clinic, clip)


def test_nobody_without_the_verb_changes_a_moment(clinic: Clinic, clip: AssetView) -> None:
    """Whoever may only watch does not rename or remove."""
    for caller in (clinic.supervisor, clinic.ig):
        with pytest.raises((Refused, NotFound)):
            kept_moments.remove(clinic.ctx, caller, clip.id)
        with pytest.raises((Refused, NotFound)):
            kept_moments.describe(clinic.ctx, caller, DescribeCut(clip.id, "Mine"))
