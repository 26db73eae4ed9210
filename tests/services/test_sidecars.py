"""Blobs and keyring alone open a film: what stands beside it is what the database would write."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.domain.purposes import CARE
from consent_service.errors import Unavailable
from consent_service.services import comparisons, depicted, erasure, sidecars
from consent_service.services.access import job_caller
from consent_service.services.comparing import Comparing, Fault, Finding
from consent_service.services.context import Context
from consent_service.services.reconcile import reconcile
from consent_service.vault.blobs import BlobStore
from consent_service.vault.blobs.folder import FolderStore
from consent_service.vault.side_by_side import AT_ONCE
from consent_service.vault.wraps import open_wrap, parse_sidecar
from tests.support.clinic import Clinic, Family
from tests.support.faulty_store import FaultyStore, HappeningStore
from tests.support.kept_film import Kept, keep_film
from tests.support.safe import consenting_mother, film_of_mother_and_baby

JOB = job_caller("reconcile")


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which the mother has said yes, for herself and for the baby."""
    return consenting_mother(clinic)


@pytest.fixture
def film(clinic: Clinic, family: Family) -> str:
    """A film of mother and baby."""
    return film_of_mother_and_baby(clinic, family)


def _beside(clinic: Clinic, film: str) -> bytes:
    return clinic.ctx.blobs.read_range(f"{film}.json", 0, 100_000)


def _put_beside(clinic: Clinic, film: str, content: bytes) -> None:
    with clinic.ctx.blobs.put(f"{film}.json", replace=True) as sink:
        sink.write(content)


def _data_key(clinic: Clinic, film: str) -> bytes:
    """Open the film's data key as its blob, sidecar and keyring alone allow."""
    sidecar = parse_sidecar(_beside(clinic, film))
    [wrap] = [wrap for wrap in sidecar.wraps if wrap.purpose == CARE]
    live = clinic.ctx.keyring.read([sidecar.asset_key_id, *wrap.key_ids])
    return open_wrap(wrap, live.get(sidecar.asset_key_id), live)


def _found(ctx: Context, *, repair: bool = True) -> list[tuple[Fault, str, bool]]:
    found = reconcile(ctx, JOB, repair=repair).findings
    return [(one.fault, one.subject, one.repaired) for one in found]


def _compared(ctx: Context) -> Iterator[str]:
    """Compare sidecars alone; yield each asset whose sidecar was put right."""
    for one in sidecars.compare(Comparing(ctx, repair=True, confirmed=False)):
        assert (one.fault, one.repaired) == (Fault.SIDECAR_WRONG, True)
        yield one.subject


def _with_store(ctx: Context, happens: Callable[[], object]) -> Context:
    """The same service, where something happens once as the next sidecar is begun."""
    return _with(ctx, HappeningStore(ctx.blobs, ".json", happens))


def _with(ctx: Context, store: object) -> Context:
    return dataclasses.replace(ctx, blobs=store)  # type: ignore[arg-type]


def _fails() -> None:
    raise Unavailable("The store is away.")


def test_a_sidecar_that_a_store_did_not_take_is_written_by_the_nightly_comparison(
    clinic: Clinic, family: Family, film: str
) -> None:
    """The film plays, so nobody would notice until the database is lost and it opens no more."""
    data_key = _data_key(clinic, film)
    depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)
    clinic.passes(minutes=1)
    away, father = clinic.ctx, clinic.answers(family, family.father)
    clinic.ctx = _with_store(away, _fails)
    clinic.captures(family, family.father, father)
    clinic.ctx = away
    assert clinic.watches(film)
    assert parse_sidecar(_beside(clinic, film)).wraps == ()

    assert _found(clinic.ctx) == [(Fault.SIDECAR_WRONG, film, True)]

    assert _data_key(clinic, film) == data_key
    assert _found(clinic.ctx) == []
    told = comparisons.newest(clinic.ctx, clinic.admin)
    assert told is not None
    assert told.open == ()


@pytest.mark.parametrize("spoil", ["deleted", "longer", "cut", "another"])
def test_whatever_was_done_to_a_sidecar_is_put_right(
    clinic: Clinic, film: str, spoil: str, tmp_path: Path
) -> None:
    """A person who looks first is told; the night mends it. So it is in a folder as in memory."""
    right = _beside(clinic, film)
    folder = FolderStore(tmp_path / "store", clock=clinic.clock)
    for name in (f"{film}.1", f"{film}.json"):
        with clinic.ctx.blobs.open(name) as source, folder.put(name) as sink:
            content = bytearray(source.size)
            source.read_into(0, content)
            sink.write(content)
    clinic.ctx = dataclasses.replace(clinic.ctx, blobs=folder)
    if spoil == "deleted":
        folder.delete(f"{film}.json")
    else:
        wrong = {"longer": right + b" ", "cut": right[:-1], "another": right.upper()}[spoil]
        _put_beside(clinic, film, wrong)

    assert _found(clinic.ctx, repair=False) == [(Fault.SIDECAR_WRONG, film, False)]
    assert _found(clinic.ctx) == [(Fault.SIDECAR_WRONG, film, True)]

    assert _beside(clinic, film) == right
    assert _found(clinic.ctx) == []


def test_every_asset_that_is_kept_is_compared_also_beyond_a_page(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting and restricted film is kept like any other; what is gone needs nothing."""
    monkeypatch.setattr(sidecars, "BATCH", 2)
    kept = [AssetState.STORED, AssetState.AWAITING_CONSENT, AssetState.RESTRICTED]
    films = [keep_film(clinic, family, Kept(state=state)) for state in (*kept, *kept)]
    gone = keep_film(clinic, family, Kept(state=AssetState.ERASED))
    for film in (*films, gone):
        clinic.ctx.blobs.delete(f"{film}.json")

    assert sorted(_compared(clinic.ctx)) == sorted(films)

    assert {name for name in clinic.objects() if name.endswith(".json")} == {
        f"{film}.json" for film in films
    }
    assert list(_compared(clinic.ctx)) == []


def test_a_store_that_cannot_be_read_says_nothing_of_what_stands_there(
    clinic: Clinic, film: str
) -> None:
    """A night of a store that is away must not become a list of films that lack something."""
    store = FaultyStore(clinic.ctx.blobs, fail_at=1)

    run = Comparing(_with(clinic.ctx, store), repair=True, confirmed=False)

    assert not list(sidecars.compare(run))

    assert run.findings == [Finding(Fault.NOT_COMPARED, film, False)]
    assert store.operations == [f"read {film}.json"]


def test_where_all_is_well_each_sidecar_is_read_once(clinic: Clinic, film: str) -> None:
    """The nightly run of a large clinic: one question for each film, and nothing written."""
    store = FaultyStore(clinic.ctx.blobs)

    assert not list(_compared(_with(clinic.ctx, store)))

    assert store.operations == [f"read {film}.json"]


def test_so_many_sidecars_are_read_at_once_and_no_more(clinic: Clinic, family: Family) -> None:
    """A bucket takes ten milliseconds for each: one after another, a large clinic's night is over.

    Nor are they all asked for together: each that is under way holds memory and a connection.
    """
    for _ in range(AT_ONCE + 2):
        keep_film(clinic, family, Kept(state=AssetState.RESTRICTED))
    store = _Slow(clinic.ctx.blobs)

    assert not list(_compared(_with(clinic.ctx, store)))

    assert store.most == AT_ONCE


class _Slow:
    """A store that answers nobody before so many have asked at once."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self._all_here = threading.Barrier(AT_ONCE)
        self._lock = threading.Lock()
        self._asked = self._reading = self.most = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        with self._lock:
            self._asked += 1
            first = self._asked <= AT_ONCE
            self._reading += 1
            self.most = max(self.most, self._reading)
        try:
            if first:
                self._all_here.wait(60)
            return self._inner.read_range(name, offset, length)
        finally:
            with self._lock:
                self._reading -= 1


def test_a_key_that_is_replaced_while_its_sidecar_is_mended_is_the_one_that_stands(
    clinic: Clinic, family: Family, film: str
) -> None:
    """The rows were read before: an older word must not come last."""
    clinic.ctx.blobs.delete(f"{film}.json")

    def noticed() -> None:
        depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)

    assert list(_compared(_with_store(clinic.ctx, noticed))) == [film]

    with clinic.ctx.read() as session:
        key = session.get_one(Asset, film).asset_key_id
    sidecar = parse_sidecar(_beside(clinic, film))
    assert (sidecar.asset_key_id, sidecar.wraps) == (key, ())


def test_nothing_is_left_beside_a_film_that_is_erased_while_its_sidecar_is_mended(
    clinic: Clinic, family: Family, film: str
) -> None:
    """Erasure has looked and said that all of it is gone: that must stay true."""
    clinic.ctx.blobs.delete(f"{film}.json")

    def erased() -> None:
        clinic.withdraws(family, family.mother)
        erasure.work(clinic.ctx, "worker")

    assert list(_compared(_with_store(clinic.ctx, erased))) == [film]

    assert clinic.objects() == set()


def test_what_changed_since_its_page_was_read_is_not_taken_for_wrong(
    clinic: Clinic, family: Family
) -> None:
    """The rows of a page are minutes old at its end: no false alarm where both have moved on."""
    films = sorted(
        clinic.stores_film(family, depicted=(family.mother, family.baby)).id for _ in range(2)
    )
    clinic.passes(minutes=1)
    found = _compared(clinic.ctx)
    clinic.ctx.blobs.delete(f"{films[0]}.json")
    assert next(found) == films[0]

    depicted.add_depicted(clinic.ctx, clinic.guider, films[1], family.father)

    assert list(found) == []
