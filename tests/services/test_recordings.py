"""Recordings come in: permitted by everyone, encrypted as they arrive, stored or gone."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.consent import ConsentAct
from consent_service.db.models.people import InvolvementPerson
from consent_service.db.models.policies import PublishedPolicy
from consent_service.db.models.recordings import AssetWrap
from consent_service.domain.assets import AssetState, RecordClass
from consent_service.domain.audit import EventKind
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Speed
from consent_service.errors import (
    Conflict,
    DiskFull,
    Gone,
    InvalidInput,
    NotAFilm,
    NotFound,
    Refused,
    TooLarge,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.media.sample import make_sample_film
from consent_service.services import erasure, people, recordings, viewing
from consent_service.services.access import job_caller
from consent_service.vault.blobs import BlobSink, BlobStore
from consent_service.vault.blobs.folder import FolderStore
from consent_service.vault.container import HEADER_BYTES
from consent_service.vault.keyring import KeyKind, KeyStatus
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.faulty_store import FaultyStore, HappeningStore
from tests.support.films import phone_film

JOB = job_caller("abandon-stale")


def _reserve(clinic: Clinic, family: Family, **more: object) -> recordings.AssetView:
    values: dict[str, object] = {"depicted": family.everyone, "filmed_on": clinic.today}
    request = recordings.ReserveFilm(family.involvement, **(values | more))  # type: ignore[arg-type]
    return recordings.reserve(clinic.ctx, clinic.guider, request)


def _live_asset_keys(clinic: Clinic) -> set[str]:
    entries = list(clinic.ctx.keyring.list_keys(kind=KeyKind.ASSET))
    states = clinic.ctx.keyring.status([e.key_id for e in entries])
    return {key for key, state in states.items() if state is KeyStatus.LIVE}


def test_a_film_needs_the_yes_of_everyone_in_it_and_names_who_is_missing(clinic: Clinic) -> None:
    """The guider has to know whom to ask, before the camera is switched on."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family)

    assert refused.value.code == "consent_missing"
    assert refused.value.details["missing"] == [
        {"person": family.father, "purpose": CARE, "state": "not_asked"}
    ]
    (written,) = clinic.written_down(EventKind.RECORDING_REFUSED)
    assert written.event.details["missing"] == [family.father]
    assert recordings.assets(clinic.ctx, clinic.guider, family.involvement) == []
    assert _reserve(clinic, family, depicted=(family.mother, family.baby)).id


def test_parents_who_disagree_about_their_child_freeze_filming(clinic: Clinic) -> None:
    """One parent's yes does not outweigh the other's no: nobody films until it is settled."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.withdraws(family, family.baby, by=family.father)

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family)

    assert refused.value.code == "access_frozen"


def test_a_material_change_of_the_form_is_asked_before_the_next_film(clinic: Clinic) -> None:
    """People agreed to other words: film kept stays theirs, new film waits for their answer."""
    family = clinic.family()
    clinic.both_consent(family)
    old = clinic.stores_film(family)
    with clinic.ctx.begin() as uow:
        uow.session.add(
            PublishedPolicy(
                id=new_id(),
                path="consent-forms/vig/v2",
                digest="0" * 64,
                files={},
                material=True,
                published_at=uow.at,
                published_by=clinic.ig.id,
            )
        )

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family)

    assert refused.value.code == "reconsent_needed"
    assert {one["person"] for one in refused.value.details["asked"]} == set(family.everyone)
    assert clinic.watches(old.id)


def test_film_from_before_the_consent_is_refused(clinic: Clinic) -> None:
    """Permission to film comes before filming (rule 11); a later yes does not reach back."""
    family = clinic.family()
    clinic.passes(days=3)
    clinic.both_consent(family)

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family, filmed_on=clinic.today - timedelta(days=1))

    assert refused.value.code == "consent_missing"


def test_every_fault_of_a_reservation_is_named_by_field(clinic: Clinic) -> None:
    """The father cannot be called staff to spare asking him, nor a stranger filmed."""
    family = clinic.family()
    clinic.both_consent(family)

    with pytest.raises(InvalidInput) as refused:
        _reserve(
            clinic,
            family,
            depicted=(family.mother, new_id()),
            present=(family.father,),
            filmed_on=clinic.today + timedelta(days=1),
            declared_size=0,
        )

    assert set(refused.value.faults) == {"depicted", "present", "filmed_on", "declared_size"}
    with pytest.raises(NotFound):
        _reserve(clinic, family, meeting=new_id())


def test_another_teams_guider_cannot_tell_that_a_family_or_film_exists(clinic: Clinic) -> None:
    """An id of another team's family looks like one that does not exist."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    stranger = replace(clinic.guider, teams=frozenset({new_id()}))
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    with pytest.raises(NotFound):
        recordings.reserve(clinic.ctx, stranger, request)
    with pytest.raises(NotFound):
        recordings.asset(clinic.ctx, stranger, film.id)
    with pytest.raises(Refused):
        recordings.reserve(clinic.ctx, clinic.ig, request)


def test_a_declared_giant_is_refused_before_a_byte_is_read(clinic: Clinic) -> None:
    """Five gigabytes must not travel first and be refused after."""
    family = clinic.family()
    clinic.both_consent(family)

    with pytest.raises(TooLarge):
        _reserve(clinic, family, declared_size=5 * 2**30)

    assert recordings.assets(clinic.ctx, clinic.guider, family.involvement) == []


def test_an_upload_that_grows_too_large_is_erased(clinic: Clinic) -> None:
    """Whoever lies about the size gets no further than whoever tells it."""
    family = clinic.family()
    clinic.both_consent(family)
    small = replace(
        clinic.ctx, settings=clinic.ctx.settings.model_copy(update={"max_upload": 10_000})
    )
    reserved = _reserve(clinic, family)

    with pytest.raises(TooLarge):
        recordings.receive(small, clinic.guider, reserved.id, [sample_film()])

    assert clinic.objects() == set()
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_what_is_served_is_what_was_finished_and_the_upload_is_gone(
    clinic: Clinic, container: str
) -> None:
    """Digest, size and place of the stored film are promises; the telephone's traces are not."""
    family = clinic.family()
    clinic.both_consent(family)
    film = phone_film(container)

    view = recordings.store(
        clinic.ctx,
        clinic.guider,
        recordings.ReserveFilm(family.involvement, family.everyone, clinic.today),
        _in_pieces(film),
    )

    served = clinic.watches(view.id)
    assert hashlib.sha256(served).hexdigest() == view.sha256
    assert view.received_sha256 == hashlib.sha256(film).hexdigest() != view.sha256
    assert (view.state, view.size, view.purposes) == (AssetState.STORED, len(served), (CARE,))
    assert (view.width, view.height) == (180, 320)
    assert view.record_class is RecordClass.TRANSITORY
    assert clinic.objects() == {f"{view.id}.1", f"{view.id}.json"}
    assert b"Sample Cameras" in film
    assert b"Sample Cameras" not in served


def test_a_text_file_with_the_name_of_a_film_leaves_nothing(clinic: Clinic) -> None:
    """What is no film is not kept: not in the store, not in the keyring, and it is certified."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family, title="Bath time")

    with pytest.raises(NotAFilm):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, [b"Dear diary\n" * 1000])

    assert clinic.objects() == set()
    assert _live_asset_keys(clinic) == set()
    view = recordings.asset(clinic.ctx, clinic.guider, reserved.id)
    assert (view.state, view.title, view.size) == (AssetState.ERASED, None, None)
    assert view.order is not None
    order = erasure.order(clinic.ctx, clinic.ig, view.order)
    assert order.state.value == "done"


def test_a_film_is_received_once(clinic: Clinic) -> None:
    """A second upload must not replace what people have watched, nor write under its keys."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)

    with pytest.raises(Conflict) as refused:
        recordings.receive(clinic.ctx, clinic.guider, film.id, [sample_film()])

    assert refused.value.code == "already_received"
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256


def test_two_uploads_at_the_same_time_do_not_share_a_reservation(clinic: Clinic) -> None:
    """The first claims it; the second is told, and does no harm to the first."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def intruding() -> Iterator[bytes]:
        with pytest.raises(Conflict):
            recordings.receive(clinic.ctx, clinic.guider, reserved.id, [sample_film()])
        yield sample_film()

    view = recordings.receive(clinic.ctx, clinic.guider, reserved.id, intruding())

    assert view.state is AssetState.STORED


@pytest.mark.parametrize("speed", list(Speed))
def test_whoever_says_stop_while_a_film_comes_in_is_heard(clinic: Clinic, speed: Speed) -> None:
    """The upload must not outrun the withdrawal: nothing of it is kept."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def interrupted() -> Iterator[bytes]:
        yield sample_film()[:5000]
        clinic.passes(seconds=30)
        clinic.withdraws(family, family.mother, speed=speed)
        yield sample_film()[5000:]

    with pytest.raises(Gone):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, interrupted())
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED
    assert _live_asset_keys(clinic) == set()


def test_a_yes_that_comes_while_a_film_comes_in_is_in_its_wraps(clinic: Clinic) -> None:
    """A purpose granted between reading keys and storing must not wait for the nightly job."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def answered_meanwhile() -> Iterator[bytes]:
        yield sample_film()[:5000]
        clinic.passes(minutes=1)
        clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
        yield sample_film()[5000:]

    view = recordings.receive(clinic.ctx, clinic.guider, reserved.id, answered_meanwhile())

    assert view.purposes == (CARE, "training-local")
    assert clinic.watches(view.id, "training-local") == clinic.watches(view.id)


@pytest.mark.parametrize("said", ["stop", "yes"])
def test_what_is_said_between_reading_keys_and_storing_counts(clinic: Clinic, said: str) -> None:
    """The wraps were prepared a moment ago; the lock is where it is decided."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(minutes=1)

    def speak() -> None:
        if said == "stop":
            clinic.withdraws(family, family.father)
        else:
            clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))

    store = HappeningStore(clinic.ctx.blobs, ".json", speak)
    ctx = replace(clinic.ctx, blobs=store)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    if said == "stop":
        with pytest.raises(Gone):
            recordings.store(ctx, clinic.guider, request, [sample_film()])
        erasure.work(clinic.ctx, "test")
        assert clinic.objects() == set()
    else:
        view = recordings.store(ctx, clinic.guider, request, [sample_film()])
        assert clinic.watches(view.id, "training-local")


def test_long_film_needs_a_reason_and_longer_film_is_refused(clinic: Clinic) -> None:
    """As little film as will do: the guider is asked why, and nothing is kept without an answer."""
    family = clinic.family()
    clinic.both_consent(family)
    limits = replace(clinic.ctx.policies.organisation.film_length, ask_from_minutes=0)
    asking = _with_limits(clinic, limits)
    refusing = _with_limits(clinic, replace(limits, refuse_from_minutes=0))
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    with pytest.raises(InvalidInput) as asked:
        recordings.store(asking.ctx, clinic.guider, request, [sample_film()])
    with pytest.raises(InvalidInput) as refused:
        recordings.store(refusing.ctx, clinic.guider, request, [sample_film()])

    assert asked.value.code == "reason_needed"
    assert refused.value.code == "film_too_long"
    assert clinic.objects() == set()
    told = replace(request, reason_for_length="The feed took that long.")
    view = recordings.store(asking.ctx, clinic.guider, told, [sample_film()])
    assert view.state is AssetState.STORED


def test_the_class_is_the_one_that_the_forms_printed(clinic: Clinic) -> None:
    """Deciding otherwise later does not change what these people were promised (rule 7)."""
    family = clinic.family()
    clinic.both_consent(family)
    with clinic.ctx.begin() as uow:
        act = uow.session.scalars(
            select(ConsentAct).where(ConsentAct.person_id == family.father)
        ).one()
        act.record_class = RecordClass.HEALTH_RECORD.value

    theirs = clinic.stores_film(family)
    hers = clinic.stores_film(family, depicted=(family.mother,))

    assert theirs.record_class is RecordClass.HEALTH_RECORD
    assert hers.record_class is RecordClass.TRANSITORY


def test_staff_behind_the_camera_are_recorded_without_a_key(clinic: Clinic) -> None:
    """A guider's voice is no reason to ask the guider, and opens or closes no film."""
    family = clinic.family()
    clinic.both_consent(family)
    staff = _adds_staff(clinic, family)

    view = _reserve(clinic, family, present=(staff,))
    recordings.receive(clinic.ctx, clinic.guider, view.id, [sample_film()])

    assert (view.present, set(view.depicted)) == ((staff,), set(family.everyone))
    assert clinic.watches(view.id)


def test_a_reservation_that_never_became_a_film_is_erased_after_a_day(clinic: Clinic) -> None:
    """A browser that was closed leaves a row and a key, which must not lie about for ever."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)
    with clinic.ctx.blobs.put(f"{reserved.id}.0") as sink:
        sink.write(b"what a killed process left")
    clinic.passes(hours=23)
    assert recordings.abandon_stale(clinic.ctx, JOB) == []

    clinic.passes(hours=2)
    abandoned = recordings.abandon_stale(clinic.ctx, JOB)

    assert abandoned == [reserved.id]
    assert clinic.objects() == set()
    assert _live_asset_keys(clinic) == set()
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED
    with pytest.raises(Gone):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, [sample_film()])


def test_a_stream_that_breaks_off_leaves_nothing(clinic: Clinic) -> None:
    """A telephone that loses its network is told to begin again, and half a film is not kept."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def broken() -> Iterator[bytes]:
        yield sample_film()[:20_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, broken())

    assert clinic.objects() == set()
    assert list(clinic.ctx.blobs.list_unfinished()) == []
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED


def test_a_full_disk_at_any_point_leaves_nothing_half_done(clinic: Clinic) -> None:
    """Whichever write fails, in the end the store holds what the database lists, and no more."""
    family = clinic.family()
    clinic.both_consent(family)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    counting = FaultyStore(clinic.ctx.blobs)
    recordings.store(replace(clinic.ctx, blobs=counting), clinic.guider, request, [sample_film()])
    standing = clinic.objects()
    points = range(1, len(counting.operations) + 1)
    assert len(points) > 8

    for point in points:
        full = FaultyStore(clinic.ctx.blobs, point, fault=DiskFull("full (told to by a test)"))
        with pytest.raises((DiskFull, Unavailable)):
            recordings.store(
                replace(clinic.ctx, blobs=full), clinic.guider, request, [sample_film()]
            )
        clinic.passes(hours=1)
        erasure.work(clinic.ctx, "test")
        assert clinic.objects() == standing, counting.operations[point - 1]

    views = recordings.assets(clinic.ctx, clinic.guider, family.involvement)
    assert [v.state for v in views].count(AssetState.STORED) == 1
    assert [v.state for v in views].count(AssetState.ERASED) == len(points)


def test_no_object_is_encrypted_under_a_key_and_nonce_used_before(clinic: Clinic) -> None:
    """One GCM nonce used twice under a key gives both films away.

    Key and base nonce come out of one derivation with the commitment in the header, so equal keys
    would show as equal headers; an object's chunks are numbered and written once, in order.
    """
    family = clinic.family()
    clinic.both_consent(family)
    watching = _HeaderStore(clinic.ctx.blobs)
    ctx = replace(clinic.ctx, blobs=watching)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    for _ in range(3):
        recordings.store(ctx, clinic.guider, request, [sample_film()])

    films = [header for name, header in watching.headers if not name.endswith(".json")]
    assert len(films) == 6
    assert len({header[:24] for header in films}) == len({header[24:] for header in films}) == 6
    with clinic.ctx.read() as session:
        wrapped = list(session.scalars(select(AssetWrap.wrapped)))
    assert len({one[:12] for one in wrapped}) == len(wrapped) == 3


def test_no_plaintext_of_a_film_reaches_any_file(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Destroying keys is erasure only if nothing was ever written in the clear."""
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("TMPDIR", str(spool))
    monkeypatch.setattr(tempfile, "tempdir", None)
    database = Path(clinic.ctx.engine.url.database or "")
    folders = [tmp_path, *([database.parent] if database.is_absolute() else [])]
    film = make_sample_film(3)
    marker = film[len(film) // 2 : len(film) // 2 + 48]
    planted = spool / "planted"
    planted.write_bytes(b"before" + film + b"after")
    assert _files_with(marker, folders) == [planted]
    planted.unlink()
    ctx = replace(clinic.ctx, blobs=FolderStore(tmp_path / "film"))
    family = clinic.family()
    clinic.both_consent(family)
    looked = []

    def slowly() -> Iterator[bytes]:
        for piece in _in_pieces(film):
            looked.append(_files_with(marker, folders))
            yield piece

    view = recordings.store(
        ctx,
        clinic.guider,
        recordings.ReserveFilm(family.involvement, family.everyone, clinic.today),
        slowly(),
    )
    with viewing.open_film(ctx, clinic.guider, view.id, CARE) as opened:
        pieces = opened.iter_range(0, opened.size)
        served = next(pieces)
        looked.append(_files_with(marker, folders))
        served += b"".join(pieces)

    assert marker in served
    assert len(list((tmp_path / "film").rglob("*.1"))) == 1
    assert len(looked) > 4
    assert not any(looked)
    assert _files_with(marker, folders) == []


def _in_pieces(film: bytes, size: int = 7001) -> Iterator[bytes]:
    for start in range(0, len(film), size):
        yield film[start : start + size]


def _files_with(marker: bytes, folders: list[Path]) -> list[Path]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if marker in path.read_bytes()]


def _with_limits(clinic: Clinic, limits: object) -> Clinic:
    organisation = replace(clinic.ctx.policies.organisation, film_length=limits)  # type: ignore[arg-type]
    policies = replace(clinic.ctx.policies, organisation=organisation)
    return replace(clinic, ctx=replace(clinic.ctx, policies=policies))


def _adds_staff(clinic: Clinic, family: Family) -> str:
    staff = people.create_person(
        clinic.ctx, clinic.guider, people.PersonDetails(clinic.team, "Test Guider", None)
    ).id
    with clinic.ctx.begin() as uow:
        uow.session.add(
            InvolvementPerson(
                involvement_id=family.involvement,
                person_id=staff,
                role=FamilyRole.STAFF,
                added_at=uow.at,
            )
        )
    return staff


class _HeaderStore:
    """Passes everything on, and remembers the first bytes of each object written."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self.headers: list[tuple[str, bytes]] = []

    @contextmanager
    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> Iterator[BlobSink]:
        with self._inner.put(name, expected_size=expected_size, replace=replace) as sink:
            watched = _HeaderSink(sink)
            yield watched
            self.headers.append((name, bytes(watched.begins)))

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class _HeaderSink:
    def __init__(self, inner: BlobSink) -> None:
        self._inner = inner
        self.begins = bytearray()

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        missing = HEADER_BYTES - len(self.begins)
        self.begins += bytes(memoryview(buffer)[:missing]) if missing > 0 else b""
        return self._inner.write(buffer)
