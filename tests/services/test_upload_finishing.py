"""From the last byte to the stored film: nothing is lost, stored twice or left lying."""

import hashlib
import itertools
from dataclasses import replace

import pytest

from consent_service.db.models.recordings import FilmUpload
from consent_service.domain.assets import AssetState
from consent_service.errors import (
    Conflict,
    ContainerCorrupt,
    DiskFull,
    NotFound,
)
from consent_service.services import (
    reconcile,
    recordings,
    storing,
    upload_parts,
    uploads,
)
from consent_service.services.access import job_caller
from consent_service.vault.wraps import parse_sidecar
from tests.support.clinic import Clinic, sample_film
from tests.support.faulty_store import FaultyStore, HappeningStore
from tests.support.uploading import (
    begun,
    offset_of,
    send,
    state_of,
)

WORKER = job_caller("finish-uploads")


def test_a_store_that_fails_at_the_end_loses_nothing(clinic: Clinic) -> None:
    """Every byte was acknowledged: a full disk while the film is made must wait, not erase."""
    film = sample_film()
    _, asset = begun(clinic)
    send(clinic, asset, 0, film[:-1])
    failed = []
    for point in itertools.count(1):
        full = FaultyStore(clinic.ctx.blobs, point, fault=DiskFull("full (told to by a test)"))
        ctx = replace(clinic.ctx, blobs=full)
        if state_of(clinic, asset) is AssetState.RECEIVING:
            with pytest.raises(DiskFull):
                send(clinic, asset, len(film) - 1, film[-1:], ctx=ctx)
        else:
            uploads.finish_received(ctx, WORKER)
        if state_of(clinic, asset) is AssetState.STORED:
            break
        failed += full.operations[-1:]
        assert offset_of(clinic, asset) in (len(film) - 1, len(film))
    assert len(failed) > 5

    uploads.finish_received(clinic.ctx, WORKER)

    stored = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert hashlib.sha256(clinic.watches(asset)).hexdigest() == stored.sha256
    assert len(clinic.objects()) == 2


def test_what_a_crash_left_received_is_stored_by_the_job(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last byte was acknowledged, then the process died; nobody will send it again."""
    film = sample_film()
    _, asset = begun(clinic)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            send(clinic, asset, 0, film)
    assert state_of(clinic, asset) is AssetState.RECEIVED
    assert offset_of(clinic, asset) == len(film)

    assert uploads.finish_received(clinic.ctx, WORKER) == [asset]
    assert state_of(clinic, asset) is AssetState.RECEIVED
    clinic.passes(seconds=21)
    uploads.finish_received(clinic.ctx, WORKER)

    assert state_of(clinic, asset) is AssetState.STORED
    assert clinic.watches(asset)
    assert clinic.objects() == {f"{asset}.2", f"{asset}.json"}


@pytest.mark.parametrize("moment", [".1", ".json"])
def test_of_two_who_finish_the_same_film_one_counts(clinic: Clinic, moment: str) -> None:
    """A process that was only slow must not store over, nor erase, what another has stored."""
    _, asset = begun(clinic)

    def overtakes() -> None:
        clinic.passes(seconds=21)
        uploads.finish_received(clinic.ctx, WORKER)
        assert state_of(clinic, asset) is AssetState.STORED

    store = HappeningStore(clinic.ctx.blobs, moment, overtakes)
    view = send(clinic, asset, 0, sample_film(), ctx=replace(clinic.ctx, blobs=store))

    assert view.state is AssetState.STORED
    stored = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert hashlib.sha256(clinic.watches(asset)).hexdigest() == stored.sha256
    assert f"{asset}.2" in clinic.objects()
    sidecar = parse_sidecar(clinic.ctx.blobs.read_range(f"{asset}.json", 0, 10**6))
    assert sidecar.generation == 2


def test_parts_beside_a_stored_film_are_erased(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash right after storing leaves the upload as received: the job takes it away."""
    _, asset = begun(clinic)
    with monkeypatch.context() as patched:
        patched.setattr(upload_parts, "erase", lambda *_: None)
        send(clinic, asset, 0, sample_film())
    assert len(clinic.objects()) == 3

    uploads.finish_received(clinic.ctx, WORKER)

    assert clinic.objects() == {f"{asset}.1", f"{asset}.json"}


def test_a_film_comes_in_whole_or_by_parts(clinic: Clinic) -> None:
    """Both ways write one film: whichever began keeps it."""
    family, asset = begun(clinic)
    send(clinic, asset, 0, sample_film()[:5000])
    with pytest.raises(Conflict):
        recordings.receive(clinic.ctx, clinic.guider, asset, [sample_film()])
    assert offset_of(clinic, asset) == 5000

    whole = clinic.stores_film(family)
    with pytest.raises(Conflict):
        send(clinic, whole.id, 0, sample_film())
    assert clinic.watches(whole.id)


def test_parts_are_known_to_reconciliation(clinic: Clinic) -> None:
    """A part of a running upload is nobody's leftover, and one that is missing is told."""
    _, asset = begun(clinic)
    send(clinic, asset, 0, sample_film()[:5000])
    assert reconcile.reconcile(clinic.ctx, WORKER).findings == ()

    for name in clinic.objects():
        clinic.ctx.blobs.delete(name)

    found = reconcile.reconcile(clinic.ctx, WORKER).findings
    assert [(f.fault, f.subject) for f in found] == [(reconcile.Fault.OBJECT_MISSING, asset)]


def test_a_part_put_in_anothers_place_is_noticed(clinic: Clinic) -> None:
    """Whoever can write to the store must not make another film of what was sent."""
    film = sample_film()
    _, asset = begun(clinic)
    send(clinic, asset, 0, film[:5000])
    send(clinic, asset, 5000, film[5000:10_000])
    first, second = sorted(clinic.objects())
    swapped = clinic.ctx.blobs.read_range(second, 0, 10**6)
    with clinic.ctx.blobs.put(first, replace=True) as sink:
        sink.write(swapped)

    with pytest.raises(ContainerCorrupt):
        send(clinic, asset, 10_000, film[10_000:])

    assert state_of(clinic, asset) is AssetState.ERASED


def test_anothers_upload_is_not_there(clinic: Clinic) -> None:
    """Another team sees neither that there is an upload nor how far it has come."""
    _, asset = begun(clinic)
    stranger = replace(clinic.guider, teams=frozenset({"0" * 32}))
    for ask in (
        lambda: uploads.upload(clinic.ctx, stranger, asset),
        lambda: send(clinic, asset, 0, b"x", caller=stranger),
        lambda: uploads.end(clinic.ctx, stranger, asset),
    ):
        with pytest.raises(NotFound):
            ask()
    with clinic.ctx.read() as session:
        assert session.get_one(FilmUpload, asset).received == 0
