"""Film on its way in or being cut stops when consent ends, not only at its own end."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self

import pytest

from consent_service.db.models.people import Involvement
from consent_service.domain.assets import AssetState
from consent_service.domain.tus import Checksum
from consent_service.errors import Gone, Refused, Unavailable
from consent_service.media import MAX_BLOCK
from consent_service.services import cutting, erasure, recordings, standing_use, upload_parts
from consent_service.services.context import Context
from consent_service.services.standing_use import StandingUse
from consent_service.vault.blobs import BlobSource
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.faulty_store import FaultyStore
from tests.support.films import heavy_film
from tests.support.statements import counted
from tests.support.uploading import begun, reserved, rows_of, send, state_of

PART = 64 * 1024
PIECE = 16 * 1024
TRAINING = frozenset({"TRAIN.LOCAL"})
Act = Callable[[Clinic, str, "_Body"], object]


def _stops(clinic: Clinic, family: Family) -> None:
    """Somebody withdraws, their order is carried out to its certificate, and a second passes."""
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "test")
    clinic.passes(seconds=1)


def _agrees(clinic: Clinic, family: Family) -> None:
    """Everyone says yes to one thing more: the epoch moves, and what was permitted still is."""
    clinic.passes(minutes=1)
    clinic.both_consent(family, optional=TRAINING)


@dataclass
class _Body:
    """A film sent in small pieces; after 128 KiB, or half of a small one, something happens."""

    film: bytes
    happens: Callable[[], None]
    handed_out_after: int = 0

    def __iter__(self) -> Iterator[bytes]:
        half = min(2 * PART, len(self.film) // 2)
        size = min(PIECE, half // 4)
        middle = half // size * size
        for start in range(0, len(self.film), size):
            if start == middle:
                self.happens()
            self.handed_out_after += start >= middle
            yield self.film[start : start + size]


@dataclass
class _Watched:
    """A body that ends somebody's consent, and a store that counts what is written of it."""

    clinic: Clinic
    family: Family
    happens: Callable[[Clinic, Family], None] = _stops
    film: bytes = field(default_factory=heavy_film)
    store: FaultyStore = field(init=False)
    body: _Body = field(init=False)
    before: int = 0

    def __post_init__(self) -> None:
        self.store = FaultyStore(self.clinic.ctx.blobs)
        self.body = _Body(self.film, self._happens)

    @property
    def watching(self) -> Clinic:
        return replace(self.clinic, ctx=replace(self.clinic.ctx, blobs=self.store))

    @property
    def written_after(self) -> list[str]:
        later = self.store.operations[self.before :]
        return [one for one in later if one.startswith(("begin", "write", "finish"))]

    def _happens(self) -> None:
        self.happens(self.clinic, self.family)
        self.before = len(self.store.operations)


def _summed(clinic: Clinic, asset: str, body: _Body) -> object:
    right = hashlib.sha256(body.film).digest()
    return send(clinic, asset, 0, iter(body), checksum=Checksum("sha256", right))


def _in_parts(clinic: Clinic, asset: str, body: _Body) -> object:
    return send(clinic, asset, 0, iter(body))


def _whole(clinic: Clinic, asset: str, body: _Body) -> object:
    return recordings.receive(clinic.ctx, clinic.guider, asset, iter(body))


def _database_away(fails: list[bool]) -> Callable[[Context, str], int]:
    """Read an epoch as always, but not while `fails` says so."""
    real = standing_use._read_epoch

    def read(ctx: Context, involvement: str) -> int:
        if fails:
            raise Unavailable("The database cannot be reached.")
        return real(ctx, involvement)

    return read


def test_a_film_goes_on_coming_in_while_the_database_is_away_for_a_moment(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody films the same minutes twice; before it is stored everything is asked again."""
    _, asset = begun(clinic)
    fails: list[bool] = []
    monkeypatch.setattr(standing_use, "_read_epoch", _database_away(fails))
    film = sample_film()

    def pieces() -> Iterator[bytes]:
        yield film[:1000]
        clinic.passes(seconds=2)
        fails.append(True)
        yield film[1000:2000]
        fails.clear()
        yield film[2000:]

    recordings.receive(clinic.ctx, clinic.guider, asset, pieces())

    assert state_of(clinic, asset) is AssetState.STORED


@pytest.mark.parametrize("act", [_summed, _in_parts, _whole])
def test_a_body_is_read_no_further_once_consent_ended(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    """The certificate says gone: no object of the film may come after it, not even for a while."""
    monkeypatch.setattr(upload_parts, "PART_BYTES", PART)
    family, asset = begun(clinic, heavy_film())
    seen = _Watched(clinic, family)

    with pytest.raises(Gone):
        act(seen.watching, asset, seen.body)

    assert seen.body.handed_out_after == 1
    assert seen.written_after == []
    assert (clinic.objects(), rows_of(clinic, asset)) == (set(), (0, 0))
    assert list(clinic.ctx.blobs.list_unfinished()) == []
    assert state_of(clinic, asset) is AssetState.ERASED


@pytest.mark.parametrize("act", [_summed, _in_parts, _whole])
def test_a_body_comes_in_whole_when_what_changed_leaves_it_permitted(
    clinic: Clinic, act: Act
) -> None:
    """One yes more, said while a film comes in, must not cost the family their film."""
    family, asset = begun(clinic)
    seen = _Watched(clinic, family, _agrees, sample_film())

    act(seen.watching, asset, seen.body)

    view = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert seen.body.handed_out_after > 1
    assert view.state is AssetState.STORED
    assert view.received_sha256 == hashlib.sha256(sample_film()).hexdigest()


def test_parents_who_disagree_stop_a_body_and_what_came_before_it_stays(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows yet who is right: no more comes in, and what was acknowledged is not lost."""
    monkeypatch.setattr(upload_parts, "PART_BYTES", PART)
    family, asset = begun(clinic, heavy_film())

    def disagree(clinic: Clinic, family: Family) -> None:
        clinic.passes(minutes=1)
        clinic.withdraws(family, family.baby, by=family.father)
        clinic.passes(seconds=1)

    seen = _Watched(clinic, family, disagree)
    with pytest.raises(Refused) as refused:
        _in_parts(seen.watching, asset, seen.body)

    assert refused.value.code == "access_frozen"
    assert seen.body.handed_out_after == 1
    assert rows_of(clinic, asset)[0] == len(clinic.objects()) == 2


class _ReadingStore:
    """A store in which something happens once half a MiB was read, and what is read then counts."""

    def __init__(self, clinic: Clinic, name: str, happens: Callable[[], None]) -> None:
        self._inner = clinic.ctx.blobs
        self._name = name
        self._happens: Callable[[], None] | None = happens
        self.read = 0
        self.read_after = 0

    def open(self, name: str, *seen: object) -> object:
        source = self._inner.open(name, *seen)  # type: ignore[arg-type]
        return _Source(self, source) if name.startswith(self._name) else source

    def count(self, size: int) -> None:
        if self._happens is None:
            self.read_after += size
            return
        self.read += size
        if self.read >= 512 * 1024:
            happens, self._happens = self._happens, None
            happens()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class _Source:
    """Counts what is read of one object."""

    def __init__(self, store: _ReadingStore, inner: BlobSource) -> None:
        self._store = store
        self._inner = inner

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        size = self._inner.read_into(offset, buffer)
        self._store.count(size)
        return size

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *fault: object) -> None:
        self._inner.__exit__(*fault)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def _reading(
    clinic: Clinic, name: str, happens: Callable[[], None]
) -> tuple[_ReadingStore, Clinic]:
    store = _ReadingStore(clinic, name, happens)
    return store, replace(clinic, ctx=replace(clinic.ctx, blobs=store))  # type: ignore[arg-type]


def _clip(
    clinic: Clinic, film: recordings.AssetView, *, exact: bool, end_ms: int = 1900
) -> recordings.AssetView:
    request = cutting.MakeClip(film.id, 0, end_ms, "She looks up", exact=exact)
    return cutting.clip(clinic.ctx, clinic.guider, request)


@pytest.mark.parametrize("exact", [True, False])
def test_a_cut_reads_its_film_no_further_once_consent_ended(clinic: Clinic, exact: bool) -> None:
    """Cutting is a use like watching: not a block more reaches the media worker."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family, heavy_film())
    store, reading = _reading(clinic, film.id, lambda: _stops(clinic, family))

    with pytest.raises(Gone):
        _clip(reading, film, exact=exact)

    assert store.read_after <= MAX_BLOCK < len(heavy_film()) - store.read
    assert clinic.objects() == set()
    states = {one.state for one in recordings.assets(clinic.ctx, clinic.guider, family.involvement)}
    assert states == {AssetState.ERASED}


def test_a_cut_goes_on_when_what_changed_leaves_it_permitted(clinic: Clinic) -> None:
    """Answering a question in another room must not cost the moment that is being kept."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family, heavy_film())
    store, reading = _reading(clinic, film.id, lambda: _agrees(clinic, family))

    assert _clip(reading, film, exact=True, end_ms=200).state is AssetState.STORED
    assert store.read_after > 0


@pytest.mark.parametrize("act", [_in_parts, _whole])
def test_a_film_is_made_no_further_once_consent_ended(clinic: Clinic, act: Act) -> None:
    """All of it had come in: its bytes are not read on into the media worker either."""
    family = clinic.family()
    clinic.both_consent(family)
    asset = reserved(clinic, family, len(heavy_film()))
    store, reading = _reading(clinic, f"{asset}.0", lambda: _stops(clinic, family))

    with pytest.raises(Gone):
        act(reading, asset, _Body(heavy_film(), lambda: None))

    assert store.read_after <= MAX_BLOCK < len(heavy_film()) - store.read
    assert clinic.objects() == set()
    assert state_of(clinic, asset) is AssetState.ERASED


def test_looking_costs_one_reading_a_second_and_asks_only_where_something_moved(
    clinic: Clinic,
) -> None:
    """There is a look before every quarter of a megabyte: it must not slow a film down."""
    family = clinic.family()
    clinic.both_consent(family)
    asked = []
    with clinic.ctx.read() as session:
        epoch = session.get_one(Involvement, family.involvement).consent_epoch
    look = StandingUse(clinic.ctx, family.involvement, epoch, lambda _s, at: asked.append(at))
    with counted(clinic) as statements:
        for _ in range(100):
            look()
    assert (len([s for s in statements if "consent_epoch" in s]), asked) == (1, [])

    clinic.withdraws(family, family.mother)
    clinic.passes(seconds=1)
    look()
    look()

    assert asked == [clinic.clock.now()]
