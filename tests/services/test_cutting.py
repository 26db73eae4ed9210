"""Clips and stills: objects of their own that never allow more than the film they come from."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from consent_service.db.models.recordings import Asset
from consent_service.db.queries.erasure import OrderScope
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.purposes import CARE
from consent_service.errors import Conflict, DiskFull, Gone, InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.media.sample import background
from consent_service.services import cutting, erasure, recordings
from consent_service.services.recordings import AssetView
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.faulty_store import FaultyStore, HappeningStore
from tests.support.films import close_to, corner_colours


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everyone has said yes to `care`."""
    found = clinic.family()
    clinic.both_consent(found)
    return found


@pytest.fixture
def film(clinic: Clinic, family: Family) -> AssetView:
    """Three seconds of that family."""
    return clinic.stores_film(family, sample_film(3.0))


def _clip(clinic: Clinic, film: AssetView, **more: object) -> AssetView:
    values: dict[str, object] = {"start_ms": 1000, "end_ms": 2000, "title": "She looks up"}
    request = cutting.MakeClip(film.id, **(values | more))  # type: ignore[arg-type]
    return cutting.clip(clinic.ctx, clinic.guider, request)


def _still(clinic: Clinic, film: AssetView, **more: object) -> AssetView:
    request = cutting.MakeStill(film.id, **({"at_ms": 1500} | more))  # type: ignore[arg-type]
    return cutting.still(clinic.ctx, clinic.guider, request)


def _retention_ends(clinic: Clinic, film: AssetView) -> None:
    with clinic.ctx.begin() as uow:
        order = erasure.order_erasure(
            uow,
            clinic.ig.actor,
            erasure.OrderErasure(
                film.involvement,
                OrderCause.RETENTION,
                OrderScope(assets=(film.id,), cascades=False),
                uow.at,
            ),
        ).id
    assert erasure.carry_out(clinic.ctx, order, "test")


def test_a_clip_is_that_part_of_the_film_and_an_object_of_its_own(
    clinic: Clinic, film: AssetView
) -> None:
    """A good moment is kept by itself, so that the long film can go."""
    view = _clip(clinic, film, noticed="The baby answers her voice.", exact=True)

    colours = corner_colours(clinic.watches(view.id))
    assert len(colours) == 25
    assert all(close_to(colour, background(1)) for colour in colours)
    assert (view.kind, view.source, view.state) == (AssetKind.CLIP, film.id, AssetState.STORED)
    assert (view.start_ms, view.end_ms, view.cut) == (1000, 2000, "re-encoded")
    assert (view.depicted, view.record_class) == (film.depicted, film.record_class)
    assert (view.title, view.noticed) == ("She looks up", "The baby answers her voice.")
    assert clinic.objects() >= {f"{view.id}.1", f"{view.id}.json", f"{film.id}.1"}
    (made,) = clinic.written_down(EventKind.CLIP_MADE)
    assert (made.event.subject, made.event.details["source"]) == (view.id, film.id)
    with clinic.ctx.read() as session:
        keys = {session.get_one(Asset, one).asset_key_id for one in (view.id, film.id)}
    assert len(keys) == 2


def test_a_still_is_the_picture_of_that_moment(clinic: Clinic, film: AssetView) -> None:
    """Parents keep photos of a moment, not of a second too early."""
    view = _still(clinic, film, max_width=160)

    picture = Image.open(io.BytesIO(clinic.watches(view.id)))
    assert (picture.format, picture.size) == ("JPEG", (160, 90))
    assert close_to(picture.convert("RGB").getpixel((2, 2)), background(1))  # type: ignore[arg-type]
    assert not picture.getexif()
    assert (view.kind, view.media_type, view.source) == (AssetKind.STILL, "image/jpeg", film.id)
    assert len(clinic.written_down(EventKind.STILL_MADE)) == 1


def test_a_still_can_be_taken_from_a_clip(clinic: Clinic, film: AssetView) -> None:
    """The review looks at clips, and that is where the photo is seen."""
    clip = _clip(clinic, film)

    view = _still(clinic, clip, at_ms=200)

    assert view.source == clip.id
    with pytest.raises(Conflict):
        _clip(clinic, clip, start_ms=0, end_ms=500)
    with pytest.raises(Conflict):
        _still(clinic, view)


@pytest.mark.parametrize(
    ("marks", "fields"),
    [
        ({"start_ms": 2000, "end_ms": 2000}, {"end_ms"}),
        ({"start_ms": -1}, {"start_ms"}),
        ({"start_ms": 3000, "end_ms": 9000}, {"start_ms", "end_ms"}),
        ({"title": "  "}, {"title"}),
        ({"title": "x" * 201}, {"title"}),
    ],
)
def test_marks_outside_the_film_are_named_by_field(
    clinic: Clinic, film: AssetView, marks: dict[str, object], fields: set[str]
) -> None:
    """A slip of the hand is told before anything is written."""
    with pytest.raises(InvalidInput) as refused:
        _clip(clinic, film, **marks)

    assert set(refused.value.faults) == fields
    assert len(recordings.assets(clinic.ctx, clinic.guider, film.involvement)) == 1


def test_moments_outside_the_film_make_no_still(clinic: Clinic, film: AssetView) -> None:
    """The same for photos."""
    for more, field in (({"at_ms": 3000}, "at_ms"), ({"max_width": 0}, "max_width")):
        with pytest.raises(InvalidInput) as refused:
            _still(clinic, film, **more)
        assert set(refused.value.faults) == {field}


def test_only_those_who_may_cut_cut(clinic: Clinic, film: AssetView) -> None:
    """A supervisor watches; another team does not even know."""
    request = cutting.MakeStill(film.id, 100)

    with pytest.raises(Refused):
        cutting.still(clinic.ctx, clinic.supervisor, request)
    with pytest.raises(NotFound):
        cutting.still(clinic.ctx, replace(clinic.guider, teams=frozenset({new_id()})), request)


def test_a_clip_outlives_its_recording_and_stays_watchable(clinic: Clinic, film: AssetView) -> None:
    """Retention takes the long film and leaves the chosen moment, which has its own date."""
    clip, still = _clip(clinic, film), _still(clinic, film)

    _retention_ends(clinic, film)

    with pytest.raises(Gone):
        clinic.watches(film.id)
    assert clinic.watches(clip.id)
    assert clinic.watches(still.id)
    states = {v.id: v.state for v in recordings.assets(clinic.ctx, clinic.guider, film.involvement)}
    assert states == {
        film.id: AssetState.ERASED,
        clip.id: AssetState.STORED,
        still.id: AssetState.STORED,
    }
    assert clinic.objects() == {f"{one.id}.{end}" for one in (clip, still) for end in ("1", "json")}


def test_a_withdrawal_takes_everything_that_was_made_of_the_film(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """What a parent stops is stopped in every copy that we made."""
    clip, still = _clip(clinic, film), _still(clinic, film)
    clinic.passes(minutes=1)

    clinic.withdraws(family, family.father)
    erasure.work(clinic.ctx, "test")

    for one in (film, clip, still):
        with pytest.raises(Gone):
            clinic.watches(one.id)
    assert clinic.objects() == set()


@pytest.mark.parametrize("make", [_clip, _still])
def test_what_is_made_while_someone_says_stop_is_not_kept(
    clinic: Clinic, family: Family, film: AssetView, make: Callable[..., AssetView]
) -> None:
    """A running cut must not smuggle a moment past the withdrawal."""
    interrupting = HappeningStore(
        clinic.ctx.blobs, "", lambda: clinic.withdraws(family, family.mother)
    )
    clinic.passes(minutes=1)
    hurried = replace(clinic, ctx=replace(clinic.ctx, blobs=interrupting))

    with pytest.raises(Gone):
        make(hurried, film)
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    states = [v.state for v in recordings.assets(clinic.ctx, clinic.guider, film.involvement)]
    assert states == [AssetState.ERASED, AssetState.ERASED]


def test_a_cut_of_film_that_is_not_permitted_is_refused(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Cutting is a use like watching."""
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)

    with pytest.raises(Gone):
        _clip(clinic, film)


def test_a_full_disk_leaves_no_half_a_clip(clinic: Clinic, film: AssetView) -> None:
    """The source stays as it was, and the list shows nothing that cannot be opened."""
    standing = clinic.objects()
    counting = FaultyStore(clinic.ctx.blobs)
    _still(replace(clinic, ctx=replace(clinic.ctx, blobs=counting)), film)
    after = clinic.objects()
    assert len(after) == len(standing) + 2

    for point in range(1, len(counting.operations) + 1):
        full = FaultyStore(clinic.ctx.blobs, point, fault=DiskFull("full (told to by a test)"))
        with pytest.raises(DiskFull):
            _still(replace(clinic, ctx=replace(clinic.ctx, blobs=full)), film)
        clinic.passes(hours=1)
        erasure.work(clinic.ctx, "test")
        assert clinic.objects() == after, counting.operations[point - 1]


def test_use_permissions_may_come_after_the_clip(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Parents decide about teaching once they know what was captured (rule 11)."""
    clip = _clip(clinic, film)
    assert clip.purposes == (CARE,)
    clinic.passes(minutes=1)

    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))

    assert clinic.watches(clip.id, "training-local") == clinic.watches(clip.id)
