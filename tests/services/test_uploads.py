"""Film by parts: what was acknowledged survives everything but an end of consent."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from consent_service.db.models.recordings import Asset, AssetWrap, FilmUpload, UploadPart
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.tus import Checksum, Offered
from consent_service.errors import (
    ChecksumMismatch,
    Conflict,
    ContainerCorrupt,
    DiskFull,
    Gone,
    NotAFilm,
    NotFound,
    Refused,
    TooLarge,
)
from consent_service.services import (
    erasure,
    holds,
    reconcile,
    recordings,
    storing,
    upload_parts,
    uploads,
)
from consent_service.services.access import Caller, job_caller
from consent_service.services.context import Context
from consent_service.services.uploads import UploadView
from consent_service.vault.keyring import KeyKind, KeyStatus
from consent_service.vault.wraps import parse_sidecar
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.faulty_store import FaultyStore, HappeningStore
from tests.support.films import phone_film

WORKER = job_caller("finish-uploads")


def _reserved(clinic: Clinic, family: Family, size: int | None) -> str:
    request = recordings.ReserveFilm(
        family.involvement, family.everyone, clinic.today, declared_size=size
    )
    return recordings.reserve(clinic.ctx, clinic.guider, request).id


def _begun(clinic: Clinic, film: bytes | None = None) -> tuple[Family, str]:
    """A family that said yes, and a recording that waits for a film."""
    family = clinic.family()
    clinic.both_consent(family)
    return family, _reserved(clinic, family, len(film or sample_film()))


def _send(
    clinic: Clinic,
    asset: str,
    offset: int,
    body: bytes | Iterator[bytes],
    *,
    ctx: Context | None = None,
    length: int | None = None,
    checksum: Checksum | None = None,
    caller: Caller | None = None,
) -> UploadView:
    size = len(body) if isinstance(body, bytes) else None
    pieces = iter([body]) if isinstance(body, bytes) else body
    piece = uploads.Piece(Offered(offset, length, checksum), pieces, size)
    return uploads.append(ctx or clinic.ctx, caller or clinic.guider, asset, piece)


def _offset(clinic: Clinic, asset: str) -> int:
    return uploads.upload(clinic.ctx, clinic.guider, asset).offset


def _state(clinic: Clinic, asset: str) -> AssetState:
    return recordings.asset(clinic.ctx, clinic.guider, asset).state


def _breaking(film: bytes) -> Iterator[bytes]:
    yield film
    raise ConnectionResetError


def _rows(clinic: Clinic, asset: str) -> tuple[int, int]:
    with clinic.ctx.read() as session:
        parts = select(func.count()).where(UploadPart.asset_id == asset)
        wraps = select(func.count()).where(
            AssetWrap.asset_id == asset, AssetWrap.purpose == upload_parts.WRAPPED_FOR
        )
        return session.scalar(parts) or 0, session.scalar(wraps) or 0


def _live_asset_keys(clinic: Clinic) -> set[str]:
    entries = list(clinic.ctx.keyring.list_keys(kind=KeyKind.ASSET))
    states = clinic.ctx.keyring.status([e.key_id for e in entries])
    return {key for key, state in states.items() if state is KeyStatus.LIVE}


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_film_in_parts_becomes_the_film_that_was_sent(clinic: Clinic, container: str) -> None:
    """Whatever the cuts, what is stored is made of all of it, and nothing of the parts stays."""
    film = phone_film(container)
    family, asset = _begun(clinic, film)
    cuts = [0, 1, 17, len(film) // 3, len(film) - 5, len(film)]

    seen = [_send(clinic, asset, a, film[a:b]) for a, b in itertools.pairwise(cuts)]

    assert [view.offset for view in seen] == cuts[1:]
    view = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert view.state is AssetState.STORED
    assert view.received_sha256 == hashlib.sha256(film).hexdigest()
    assert hashlib.sha256(clinic.watches(asset)).hexdigest() == view.sha256
    assert clinic.objects() == {f"{asset}.1", f"{asset}.json"}
    assert _rows(clinic, asset) == (0, 0)
    whole = clinic.stores_film(family, film)
    assert view.sha256 == whole.sha256


def test_nothing_can_be_watched_before_the_last_byte(clinic: Clinic) -> None:
    """Half a film is not a film; whoever asks is told to wait."""
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, sample_film()[:5000])

    with pytest.raises(Conflict) as early:
        clinic.watches(asset)

    assert early.value.code == "not_ready"


def test_a_part_that_does_not_follow_is_refused_and_changes_nothing(clinic: Clinic) -> None:
    """A gap or an overlap would make another film of it; the right offset is told."""
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, sample_film()[:5000])

    for wrong in (0, 4999, 5001):
        with pytest.raises(Conflict) as refused:
            _send(clinic, asset, wrong, sample_film()[wrong : wrong + 100])
        assert (refused.value.code, refused.value.details["offset"]) == ("wrong_offset", 5000)

    assert _offset(clinic, asset) == 5000
    assert len(clinic.objects()) == 1


def test_what_broke_off_is_kept_as_far_as_it_came(clinic: Clinic) -> None:
    """A telephone in a lift goes on where it was, not from the beginning."""
    film = sample_film()
    _, asset = _begun(clinic)

    with pytest.raises(ConnectionResetError):
        _send(clinic, asset, 0, _breaking(film[:7000]))
    assert _offset(clinic, asset) == 7000
    with pytest.raises(ConnectionResetError):
        _send(clinic, asset, 7000, _breaking(b""))
    _send(clinic, asset, 7000, film[7000:])

    view = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert view.received_sha256 == hashlib.sha256(film).hexdigest()


def test_a_long_body_is_durable_part_by_part(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients may send a film in one PATCH: a crash near its end must not cost all of it."""
    monkeypatch.setattr(upload_parts, "PART_BYTES", 4000)
    film = sample_film()
    _, asset = _begun(clinic)
    known = []

    def watched() -> Iterator[bytes]:
        for start in range(0, len(film), 1000):
            known.append((start, _offset(clinic, asset)))
            yield film[start : start + 1000]

    _send(clinic, asset, 0, watched())

    assert all(start - durable <= 4000 for start, durable in known)
    assert known[-1][1] > 4000
    assert _state(clinic, asset) is AssetState.STORED


def test_another_process_goes_on_with_the_same_key(clinic: Clinic) -> None:
    """No key of an upload may live in memory alone, or a restart would lose what was promised."""
    film = sample_film()
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, film[:9000])
    with clinic.ctx.read() as session:
        place = storing.place_of(session.get_one(Asset, asset))

    assert upload_parts.key_of(clinic.ctx, place) == upload_parts.key_of(clinic.ctx, place)
    _send(clinic, asset, 9000, film[9000:])
    assert _state(clinic, asset) is AssetState.STORED


def test_two_who_send_the_same_part_at_once_add_it_once(clinic: Clinic) -> None:
    """A client that lost the answer sends again while the first request is still at work."""
    film = sample_film()
    _, asset = _begun(clinic)

    def overtaken() -> Iterator[bytes]:
        yield film[:3000]
        _send(clinic, asset, 0, film[:5000])

    with pytest.raises(Conflict) as late:
        _send(clinic, asset, 0, overtaken())

    assert late.value.code == "wrong_offset"
    assert _offset(clinic, asset) == 5000
    assert len(clinic.objects()) == 1
    _send(clinic, asset, 5000, film[5000:])
    assert clinic.watches(asset)


def test_a_length_said_late_ends_the_film(clinic: Clinic) -> None:
    """A camera that is still running says how long the film is with the last part."""
    film = sample_film()
    family = clinic.family()
    clinic.both_consent(family)
    asset = _reserved(clinic, family, None)
    assert uploads.upload(clinic.ctx, clinic.guider, asset).length is None

    _send(clinic, asset, 0, film)
    assert _state(clinic, asset) is AssetState.RECEIVING
    with pytest.raises(Conflict):
        _send(clinic, asset, len(film), b"", length=len(film) - 1)
    view = _send(clinic, asset, len(film), b"", length=len(film))

    assert (view.state, view.offset, view.length) == (AssetState.STORED, len(film), len(film))
    again = _send(clinic, asset, len(film), b"")
    assert again.state is AssetState.STORED


def test_more_than_was_said_is_refused_before_it_is_read(clinic: Clinic) -> None:
    """Neither a declared nor a hidden excess is taken in; what came before it stays."""
    film = sample_film()
    family, asset = _begun(clinic)
    late = _reserved(clinic, family, None)
    small = replace(
        clinic.ctx, settings=clinic.ctx.settings.model_copy(update={"max_upload": 10_000})
    )

    def unread() -> Iterator[bytes]:
        pytest.fail("a byte of it was read")
        yield b""

    with pytest.raises(TooLarge):
        piece = uploads.Piece(Offered(0, None, None), unread(), len(film) + 1)
        uploads.append(clinic.ctx, clinic.guider, asset, piece)
    with pytest.raises(TooLarge):
        _send(clinic, asset, 0, iter([film, b"x"]))
    with pytest.raises(TooLarge):
        _send(clinic, late, 0, b"x", ctx=small, length=10_001)

    assert _offset(clinic, asset) == 0
    assert clinic.objects() == set()


def test_parts_without_number_are_refused(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte a request would fill the store with objects and the ledger with rows."""
    monkeypatch.setattr(uploads, "MOST_PARTS", 3)
    _, asset = _begun(clinic)
    for offset in range(3):
        _send(clinic, asset, offset, sample_film()[offset : offset + 1])

    with pytest.raises(TooLarge):
        _send(clinic, asset, 3, sample_film()[3:4])

    assert len(clinic.objects()) == 3


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_what_does_not_sum_up_is_not_kept(clinic: Clinic, algorithm: str) -> None:
    """A sum is there so that a body spoilt on its way is sent again, not stored."""
    film = sample_film()
    _, asset = _begun(clinic)
    right = hashlib.new(algorithm, film).digest()

    with pytest.raises(ChecksumMismatch):
        _send(clinic, asset, 0, b"x" + film[1:], checksum=Checksum(algorithm, right))
    with pytest.raises(ConnectionResetError):
        _send(clinic, asset, 0, _breaking(film[:500]), checksum=Checksum(algorithm, right))
    assert (_offset(clinic, asset), clinic.objects()) == (0, set())

    _send(clinic, asset, 0, film, checksum=Checksum(algorithm, right))
    assert _state(clinic, asset) is AssetState.STORED


def test_whoever_says_stop_ends_the_upload(clinic: Clinic) -> None:
    """The next part is refused, and what came is erased like everything else of theirs."""
    film = sample_film()
    family, asset = _begun(clinic)
    _send(clinic, asset, 0, film[:5000])
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)

    with pytest.raises(Gone):
        _send(clinic, asset, 5000, film[5000:])
    with pytest.raises(Gone):
        _offset(clinic, asset)
    erasure.work(clinic.ctx, "test")

    assert (clinic.objects(), _rows(clinic, asset)) == (set(), (0, 0))
    assert _live_asset_keys(clinic) == set()
    assert _state(clinic, asset) is AssetState.ERASED


def test_whoever_says_stop_within_a_part_is_heard_before_it_counts(clinic: Clinic) -> None:
    """A part takes minutes on a slow line; consent is asked again before it is acknowledged."""
    film = sample_film()
    family, asset = _begun(clinic)
    _send(clinic, asset, 0, film[:5000])
    clinic.passes(minutes=1)

    def interrupted() -> Iterator[bytes]:
        yield film[5000:9000]
        clinic.withdraws(family, family.father)
        yield film[9000:]

    with pytest.raises(Gone):
        _send(clinic, asset, 5000, interrupted())
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    assert _state(clinic, asset) is AssetState.ERASED


def test_whoever_says_stop_while_the_film_is_made_is_heard(clinic: Clinic) -> None:
    """All of it had arrived: that is no reason to keep it."""
    film = sample_film()
    family, asset = _begun(clinic)
    clinic.passes(minutes=1)
    store = HappeningStore(clinic.ctx.blobs, ".1", lambda: clinic.withdraws(family, family.mother))

    with pytest.raises(Gone):
        _send(clinic, asset, 0, film, ctx=replace(clinic.ctx, blobs=store))
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    assert _state(clinic, asset) is AssetState.ERASED


def test_parents_who_disagree_stop_the_upload_until_it_is_settled(clinic: Clinic) -> None:
    """Keys that are sealed are not gone: the next part is refused and what came is kept."""
    film = sample_film()
    family, asset = _begun(clinic)
    _send(clinic, asset, 0, film[:5000])
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.baby, by=family.father)

    with pytest.raises(Refused) as refused:
        _send(clinic, asset, 5000, film[5000:])

    assert refused.value.code == "access_frozen"
    assert len(clinic.objects()) == 1


def test_what_is_no_film_is_erased_with_the_last_byte(clinic: Clinic) -> None:
    """Parts are not looked at; the whole is, and goes by the same door as everything."""
    text = b"Dear diary\n" * 1000
    _, asset = _begun(clinic, text)
    _send(clinic, asset, 0, text[:5000])

    with pytest.raises(NotAFilm):
        _send(clinic, asset, 5000, text[5000:])

    assert clinic.objects() == set()
    assert _live_asset_keys(clinic) == set()
    assert _state(clinic, asset) is AssetState.ERASED


def test_whoever_sends_may_give_up(clinic: Clinic) -> None:
    """Throwing away today's film must not wait for a night's job, and is certified."""
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, sample_film()[:5000])

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
    family, asset = _begun(clinic)
    film = clinic.stores_film(family)
    with pytest.raises(Conflict) as stored:
        uploads.end(clinic.ctx, clinic.guider, film.id)
    assert stored.value.code == "already_received"

    _send(clinic, asset, 0, sample_film()[:5000])
    complaint = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "Somebody complained.")
    holds.place(clinic.ctx, clinic.ig, complaint)
    with pytest.raises(Conflict) as held:
        uploads.end(clinic.ctx, clinic.guider, asset)
    assert held.value.code == "too_late"
    assert len(clinic.objects()) == 3


def test_an_upload_is_open_for_a_day_and_then_erased(clinic: Clinic) -> None:
    """R28: what nobody finishes must not stay half there."""
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, sample_film()[:5000])
    began = uploads.upload(clinic.ctx, clinic.guider, asset).expires_at
    clinic.passes(hours=23, minutes=59)
    assert _offset(clinic, asset) == 5000
    clinic.passes(minutes=2)
    assert clinic.clock.now() > began

    with pytest.raises(Gone) as over:
        _send(clinic, asset, 5000, sample_film()[5000:])
    assert over.value.code == "upload_expired"
    assert recordings.abandon_stale(clinic.ctx, job_caller("abandon-stale")) == [asset]
    assert (clinic.objects(), _rows(clinic, asset)) == (set(), (0, 0))


def test_a_store_that_fails_at_the_end_loses_nothing(clinic: Clinic) -> None:
    """Every byte was acknowledged: a full disk while the film is made must wait, not erase."""
    film = sample_film()
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, film[:-1])
    failed = []
    for point in itertools.count(1):
        full = FaultyStore(clinic.ctx.blobs, point, fault=DiskFull("full (told to by a test)"))
        ctx = replace(clinic.ctx, blobs=full)
        if _state(clinic, asset) is AssetState.RECEIVING:
            with pytest.raises(DiskFull):
                _send(clinic, asset, len(film) - 1, film[-1:], ctx=ctx)
        else:
            uploads.finish_received(ctx, WORKER)
        if _state(clinic, asset) is AssetState.STORED:
            break
        failed += full.operations[-1:]
        assert _offset(clinic, asset) in (len(film) - 1, len(film))
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
    _, asset = _begun(clinic)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            _send(clinic, asset, 0, film)
    assert _state(clinic, asset) is AssetState.RECEIVED
    assert _offset(clinic, asset) == len(film)

    assert uploads.finish_received(clinic.ctx, WORKER) == [asset]
    assert _state(clinic, asset) is AssetState.RECEIVED
    clinic.passes(minutes=6)
    uploads.finish_received(clinic.ctx, WORKER)

    assert _state(clinic, asset) is AssetState.STORED
    assert clinic.watches(asset)
    assert clinic.objects() == {f"{asset}.2", f"{asset}.json"}


@pytest.mark.parametrize("moment", [".1", ".json"])
def test_of_two_who_finish_the_same_film_one_counts(clinic: Clinic, moment: str) -> None:
    """A process that was only slow must not store over, nor erase, what another has stored."""
    _, asset = _begun(clinic)

    def overtakes() -> None:
        clinic.passes(minutes=6)
        uploads.finish_received(clinic.ctx, WORKER)
        assert _state(clinic, asset) is AssetState.STORED

    store = HappeningStore(clinic.ctx.blobs, moment, overtakes)
    view = _send(clinic, asset, 0, sample_film(), ctx=replace(clinic.ctx, blobs=store))

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
    _, asset = _begun(clinic)
    with monkeypatch.context() as patched:
        patched.setattr(upload_parts, "erase", lambda *_: None)
        _send(clinic, asset, 0, sample_film())
    assert len(clinic.objects()) == 3

    uploads.finish_received(clinic.ctx, WORKER)

    assert clinic.objects() == {f"{asset}.1", f"{asset}.json"}


def test_a_film_comes_in_whole_or_by_parts(clinic: Clinic) -> None:
    """Both ways write one film: whichever began keeps it."""
    family, asset = _begun(clinic)
    _send(clinic, asset, 0, sample_film()[:5000])
    with pytest.raises(Conflict):
        recordings.receive(clinic.ctx, clinic.guider, asset, [sample_film()])
    assert _offset(clinic, asset) == 5000

    whole = clinic.stores_film(family)
    with pytest.raises(Conflict):
        _send(clinic, whole.id, 0, sample_film())
    assert clinic.watches(whole.id)


def test_parts_are_known_to_reconciliation(clinic: Clinic) -> None:
    """A part of a running upload is nobody's leftover, and one that is missing is told."""
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, sample_film()[:5000])
    assert reconcile.reconcile(clinic.ctx, WORKER).findings == ()

    for name in clinic.objects():
        clinic.ctx.blobs.delete(name)

    found = reconcile.reconcile(clinic.ctx, WORKER).findings
    assert [(f.fault, f.subject) for f in found] == [(reconcile.Fault.OBJECT_MISSING, asset)]


def test_a_part_put_in_anothers_place_is_noticed(clinic: Clinic) -> None:
    """Whoever can write to the store must not make another film of what was sent."""
    film = sample_film()
    _, asset = _begun(clinic)
    _send(clinic, asset, 0, film[:5000])
    _send(clinic, asset, 5000, film[5000:10_000])
    first, second = sorted(clinic.objects())
    swapped = clinic.ctx.blobs.read_range(second, 0, 10**6)
    with clinic.ctx.blobs.put(first, replace=True) as sink:
        sink.write(swapped)

    with pytest.raises(ContainerCorrupt):
        _send(clinic, asset, 10_000, film[10_000:])

    assert _state(clinic, asset) is AssetState.ERASED


def test_anothers_upload_is_not_there(clinic: Clinic) -> None:
    """Another team sees neither that there is an upload nor how far it has come."""
    _, asset = _begun(clinic)
    stranger = replace(clinic.guider, teams=frozenset({"0" * 32}))
    for ask in (
        lambda: uploads.upload(clinic.ctx, stranger, asset),
        lambda: _send(clinic, asset, 0, b"x", caller=stranger),
        lambda: uploads.end(clinic.ctx, stranger, asset),
    ):
        with pytest.raises(NotFound):
            ask()
    with clinic.ctx.read() as session:
        assert session.get_one(FilmUpload, asset).received == 0
