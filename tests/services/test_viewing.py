"""Watching film: permitted, written down once, and stopped at once when consent ends."""

import hashlib
import threading
from dataclasses import replace

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import ProgrammingError

from consent_service.db.models.recordings import AssetWrap, Viewing
from consent_service.domain.audit import EventKind
from consent_service.domain.purposes import CARE
from consent_service.errors import (
    Conflict,
    ContainerCorrupt,
    InvalidInput,
    NotFound,
    RangeInvalid,
    Refused,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.services import recordings, viewing
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault.blobs import LOCAL_STRIDE, BlobSource, BlobStore, Seen
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everyone has said yes to `care`."""
    found = clinic.family()
    clinic.both_consent(found)
    return found


def test_any_range_is_that_part_of_the_film(clinic: Clinic, family: Family) -> None:
    """A player that seeks must get the very bytes that the digest was taken of."""
    film = clinic.stores_film(family, heavy_film())
    whole = clinic.watches(film.id)
    assert len(whole) > 3 * LOCAL_STRIDE

    with viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE) as opened:
        for start, end in (
            (0, 1),
            (16_383, 16_385),
            (300_000, 900_001),
            (opened.size - 1, opened.size),
        ):
            pieces = list(opened.iter_range(start, end))
            assert b"".join(pieces) == whole[start:end]
            assert max(map(len, pieces)) <= LOCAL_STRIDE
        assert list(opened.iter_range(7, 7)) == []
        with pytest.raises(RangeInvalid):
            opened.iter_range(0, opened.size + 1)
        with pytest.raises(RangeInvalid):
            opened.iter_range(9, 8)
        described = (opened.media_type, opened.etag, opened.filename)

    assert described == ("video/mp4", f'"{film.sha256}"', f"{film.id}.mp4")
    assert hashlib.sha256(whole).hexdigest() == film.sha256


def test_twenty_ranges_are_one_viewing_and_one_entry(clinic: Clinic, family: Family) -> None:
    """The log says who watched what, once; a player's requests are not twenty viewings."""
    film = clinic.stores_film(family)

    for number in range(20):
        with viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE) as opened:
            assert b"".join(opened.iter_range(number, number + 900))
        clinic.passes(seconds=20)

    (entry,) = clinic.written_down(EventKind.FILM_VIEWED)
    assert entry.event.subject == film.id
    assert entry.event.details == {"purpose": CARE}
    assert entry.event.actor == clinic.guider.actor


def test_a_viewing_ends_after_fifteen_minutes_without_a_request(
    clinic: Clinic, family: Family
) -> None:
    """Whoever comes back after lunch watches again, and the log says so."""
    film = clinic.stores_film(family)

    clinic.watches(film.id)
    clinic.passes(minutes=14)
    clinic.watches(film.id)
    clinic.passes(minutes=14)
    clinic.watches(film.id)
    assert len(clinic.written_down(EventKind.FILM_VIEWED)) == 1
    clinic.passes(minutes=16)
    clinic.watches(film.id)

    assert len(clinic.written_down(EventKind.FILM_VIEWED)) == 2


def test_many_players_at_once_still_make_one_entry(clinic: Clinic, family: Family) -> None:
    """Browsers open several connections for one film at the same moment."""
    film = clinic.stores_film(family)
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            clinic.watches(film.id)
        except BaseException as failure:  # noqa: BLE001 - raised below, in the test's thread
            failures.append(failure)

    threads = [threading.Thread(target=watch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(clinic.written_down(EventKind.FILM_VIEWED)) == 1


def test_a_cached_seek_asks_neither_database_nor_keyring(clinic: Clinic, family: Family) -> None:
    """Seeking is what a shared review does all the time; it must cost microseconds."""
    film = clinic.stores_film(family)
    clinic.watches(film.id)
    blind = replace(clinic.ctx, engine=_Unusable(), keyring=_Unusable())  # type: ignore[arg-type]

    with viewing.open_film(blind, clinic.guider, film.id, CARE) as opened:
        assert b"".join(opened.iter_range(100, 200))

    clinic.passes(seconds=61)
    with pytest.raises(_Used):
        viewing.open_film(blind, clinic.guider, film.id, CARE)


def test_a_purpose_is_stated_by_those_who_may(clinic: Clinic, family: Family) -> None:
    """Film is opened for a reason that the family agreed to and the role may give."""
    film = clinic.stores_film(family)

    for caller, code in ((clinic.supervisor, "role"), (clinic.ig, "role")):
        with pytest.raises(Refused) as refused:
            clinic.watches(film.id, caller=caller)
        assert refused.value.code == code
    with pytest.raises(Refused) as missing:
        clinic.watches(film.id, "training-local")
    assert missing.value.code == "consent_missing"
    for purpose in ("entertainment", "publication", "care:tea", "publication:../x"):
        with pytest.raises(InvalidInput):
            clinic.watches(film.id, purpose)
    with pytest.raises(NotFound):
        clinic.watches(new_id())
    refusals = clinic.written_down(EventKind.FILM_VIEW_REFUSED)
    reasons = sorted(r.event.details["reason"] for r in refusals)
    assert reasons == ["consent_missing", "role", "role"]
    assert clinic.written_down(EventKind.FILM_VIEWED) == []


def test_film_that_is_still_coming_in_cannot_be_watched(clinic: Clinic, family: Family) -> None:
    """Half a film is not a film."""
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    reserved = recordings.reserve(clinic.ctx, clinic.guider, request)

    with pytest.raises(Conflict) as refused:
        clinic.watches(reserved.id)

    assert refused.value.code == "not_ready"


def test_an_altered_film_is_refused_before_its_first_byte(clinic: Clinic, family: Family) -> None:
    """A viewer must never see half a film and think that it was all there is."""
    film = clinic.stores_film(family, heavy_film())
    name = f"{film.id}.1"
    stored = clinic.ctx.blobs.read_range(name, 0, 10**9)

    altered = stored[:80] + bytes([stored[80] ^ 1]) + stored[81:]
    for broken in (stored[:-5], stored[:-16_400], altered):
        with clinic.ctx.blobs.put(name, replace=True) as sink:
            sink.write(broken)
        with pytest.raises(ContainerCorrupt):
            opened = viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
            opened.iter_range(0, opened.size)


def test_a_range_inside_a_viewing_is_one_question_to_the_store(
    clinic: Clinic, family: Family
) -> None:
    """Across a network each question is what a seek costs; header, size and end are known."""
    film = clinic.stores_film(family, heavy_film())
    asked = _Asked(clinic.ctx.blobs)
    ctx = replace(clinic.ctx, blobs=asked, viewings=ViewingKeys())  # type: ignore[arg-type]

    counts = []
    for start in (0, 70_000, 200_000):
        before = asked.questions
        with viewing.open_film(ctx, clinic.guider, film.id, CARE) as opened:
            assert b"".join(opened.iter_range(start, start + 65_536))
        counts.append(asked.questions - before)

    assert counts == [2, 1, 1]


def test_an_object_that_was_exchanged_in_a_viewing_is_proven_anew(
    clinic: Clinic, family: Family
) -> None:
    """What was proven of one object says nothing of another that lies in its place."""
    film = clinic.stores_film(family, heavy_film())
    name = f"{film.id}.1"
    stored = clinic.ctx.blobs.read_range(name, 0, 10**9)
    whole = clinic.watches(film.id)

    for content, fault in (
        (stored[:-1] + bytes([stored[-1] ^ 1]), ContainerCorrupt),
        (stored, None),
    ):
        with clinic.ctx.blobs.put(name, replace=True) as sink:
            sink.write(content)
        if fault is None:
            assert clinic.watches(film.id) == whole
        else:
            with pytest.raises(fault):
                viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)


def test_nothing_is_released_when_store_keys_or_log_are_away(
    clinic: Clinic, family: Family
) -> None:
    """If it cannot be written down, or opened by live keys, it does not happen."""
    film = clinic.stores_film(family)
    clinic.ctx.viewings.forget_all()
    fresh = {"viewings": ViewingKeys()}

    missing = replace(clinic.ctx, blobs=_Without(clinic.ctx.blobs, f"{film.id}.1"), **fresh)
    with pytest.raises(Unavailable):
        viewing.open_film(missing, clinic.guider, film.id, CARE)
    keyless = replace(clinic.ctx, keyring=_Unusable(), **fresh)  # type: ignore[arg-type]
    with pytest.raises(_Used):
        viewing.open_film(keyless, clinic.guider, film.id, CARE)
    with clinic.ctx.begin() as uow:
        uow.session.connection().exec_driver_sql("ALTER TABLE audit_entry RENAME TO audit_away")
    try:
        with pytest.raises((Unavailable, ProgrammingError)):
            viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
        assert len(clinic.ctx.viewings) == 0
    finally:
        with clinic.ctx.begin() as uow:
            uow.session.connection().exec_driver_sql("ALTER TABLE audit_away RENAME TO audit_entry")
    with clinic.ctx.read() as session:
        assert session.query(Viewing).count() == 0
    assert clinic.watches(film.id)


def test_keys_that_are_not_made_yet_mean_not_yet(clinic: Clinic, family: Family) -> None:
    """A crash between the yes and its key must not look like a refusal, nor open anything."""
    film = clinic.stores_film(family)
    with clinic.ctx.begin() as uow:
        uow.session.execute(delete(AssetWrap).where(AssetWrap.asset_id == film.id))

    with pytest.raises(Unavailable) as refused:
        clinic.watches(film.id)

    assert refused.value.code == "keys_not_ready"


class _Used(AssertionError):
    """Something was asked that should not have been."""


class _Unusable:
    """Raises at the first touch, whatever it is."""

    def __getattr__(self, name: str) -> object:
        raise _Used(name)


class _Without:
    """A store in which one object cannot be found."""

    def __init__(self, inner: BlobStore, name: str) -> None:
        self._inner = inner
        self._name = name

    def open(self, name: str, seen: Seen | None = None) -> BlobSource:
        if name == self._name:
            raise NotFound("gone (told to by a test)")
        return self._inner.open(name, seen)


class _Asked:
    """A store that counts how often it is asked for bytes."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self.questions = 0

    def open(self, name: str, seen: Seen | None = None) -> "_AskedSource":
        return _AskedSource(self, self._inner.open(name, seen))


class _AskedSource:
    def __init__(self, store: _Asked, inner: BlobSource) -> None:
        self._store = store
        self._inner = inner

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        self._store.questions += 1
        return self._inner.read_into(offset, buffer)

    def __enter__(self) -> "_AskedSource":
        return self

    def __exit__(self, *fault: object) -> None:
        self._inner.__exit__(*fault)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)
