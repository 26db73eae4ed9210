"""Uploads that end: someone says stop, gives up, runs out of time, or sends no film."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.holds import HoldKind
from consent_service.errors import (
    Conflict,
    Gone,
    NotAFilm,
    Refused,
)
from consent_service.services import (
    erasure,
    holds,
    recordings,
    uploads,
)
from consent_service.services.access import job_caller
from tests.support.clinic import Clinic, sample_film
from tests.support.faulty_store import HappeningStore
from tests.support.uploading import begun, live_asset_keys, offset_of, rows_of, send, state_of


def test_whoever_says_stop_ends_the_upload(clinic: Clinic) -> None:
    """The next part is refused, and what came is erased like everything else of theirs."""
    film = sample_film()
    family, asset = begun(clinic)
    send(clinic, asset, 0, film[:5000])
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)

    with pytest.raises(Gone):
        send(clinic, asset, 5000, film[5000:])
    with pytest.raises(Gone):
        offset_of(clinic, asset)
    erasure.work(clinic.ctx, "test")

    assert (clinic.objects(), rows_of(clinic, asset)) == (set(), (0, 0))
    assert live_asset_keys(clinic) == set()
    assert state_of(clinic, asset) is AssetState.ERASED


def test_whoever_says_stop_within_a_part_is_heard_before_it_counts(clinic: Clinic) -> None:
    """A part takes minutes on a slow line; consent is asked again before it is acknowledged."""
    film = sample_film()
    family, asset = begun(clinic)
    send(clinic, asset, 0, film[:5000])
    clinic.passes(minutes=1)

    def interrupted() -> Iterator[bytes]:
        yield film[5000:9000]
        clinic.withdraws(family, family.father)
        yield film[9000:]

    with pytest.raises(Gone):
        send(clinic, asset, 5000, interrupted())
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    assert state_of(clinic, asset) is AssetState.ERASED


def test_whoever_says_stop_while_the_film_is_made_is_heard(clinic: Clinic) -> None:
    """All of it had arrived: that is no reason to keep it."""
    film = sample_film()
    family, asset = begun(clinic)
    clinic.passes(minutes=1)
    store = HappeningStore(clinic.ctx.blobs, ".1", lambda: clinic.withdraws(family, family.mother))

    with pytest.raises(Gone):
        send(clinic, asset, 0, film, ctx=replace(clinic.ctx, blobs=store))
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    assert state_of(clinic, asset) is AssetState.ERASED


def test_parents_who_disagree_stop_the_upload_until_it_is_settled(clinic: Clinic) -> None:
    """Keys that are sealed are not gone: the next part is refused and what came is kept."""
    film = sample_film()
    family, asset = begun(clinic)
    send(clinic, asset, 0, film[:5000])
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.baby, by=family.father)

    with pytest.raises(Refused) as refused:
        send(clinic, asset, 5000, film[5000:])

    assert refused.value.code == "access_frozen"
    assert len(clinic.objects()) == 1


def test_what_is_no_film_is_erased_with_the_last_byte(clinic: Clinic) -> None:
    """Parts are not looked at; the whole is, and goes by the same door as everything."""
    text = b"Dear diary\n" * 1000
    _, asset = begun(clinic, text)
    send(clinic, asset, 0, text[:5000])

    with pytest.raises(NotAFilm):
        send(clinic, asset, 5000, text[5000:])

    assert clinic.objects() == set()
    assert live_asset_keys(clinic) == set()
    assert state_of(clinic, asset) is AssetState.ERASED


def test_whoever_sends_may_give_up(clinic: Clinic) -> None:
    """Throwing away today's film must not wait for a night's job, and is certified."""
    _, asset = begun(clinic)
    send(clinic, asset, 0, sample_film()[:5000])

    uploads.end(clinic.ctx, clinic.guider, asset)

    assert clinic.objects() == set()
    view = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert view.state is AssetState.ERASED
    assert view.order is not None
    assert len(clinic.written_down(EventKind.RECORDING_ABANDONED)) == 1
    with pytest.raises(Gone):
        uploads.end(clinic.ctx, clinic.guider, asset)


def test_what_is_stored_or_held_is_not_given_up(clinic: Clinic) -> None:
    """The door for unfinished uploads must not lead to films, nor past a hold."""
    family, asset = begun(clinic)
    film = clinic.stores_film(family)
    with pytest.raises(Conflict) as stored:
        uploads.end(clinic.ctx, clinic.guider, film.id)
    assert stored.value.code == "already_received"

    send(clinic, asset, 0, sample_film()[:5000])
    complaint = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "Somebody complained.")
    holds.place(clinic.ctx, clinic.ig, complaint)
    with pytest.raises(Conflict) as held:
        uploads.end(clinic.ctx, clinic.guider, asset)
    assert held.value.code == "too_late"
    assert len(clinic.objects()) == 3


def test_an_upload_is_open_for_a_day_and_then_erased(clinic: Clinic) -> None:
    """R28: what nobody finishes must not stay half there."""
    _, asset = begun(clinic)
    send(clinic, asset, 0, sample_film()[:5000])
    began = uploads.upload(clinic.ctx, clinic.guider, asset).expires_at
    clinic.passes(hours=23, minutes=59)
    assert offset_of(clinic, asset) == 5000
    clinic.passes(minutes=2)
    assert clinic.clock.now() > began

    with pytest.raises(Gone) as over:
        send(clinic, asset, 5000, sample_film()[5000:])
    assert over.value.code == "upload_expired"
    assert recordings.abandon_stale(clinic.ctx, job_caller("abandon-stale")) == [asset]
    assert (clinic.objects(), rows_of(clinic, asset)) == (set(), (0, 0))
