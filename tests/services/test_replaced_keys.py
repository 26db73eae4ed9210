"""The key that a film had before somebody was noticed in it goes, whatever breaks on the way."""

import dataclasses
import json
from collections.abc import Callable, Collection
from typing import Any

import pytest
from sqlalchemy import func, select

from consent_service.db.models.jobs import JournalDue
from consent_service.domain.erasure import StepKind
from consent_service.errors import JournalBroken, Unavailable
from consent_service.jobs.catalogue import CATALOGUE
from consent_service.services import (
    certificates,
    depicted,
    depicted_keys,
    erasure,
    erasure_journal,
    erasure_steps,
    replaced_keys,
    startup,
)
from consent_service.services.context import Context, Standing
from consent_service.vault.journal import Journal, JournalLine, LineKind, MemoryJournal
from consent_service.vault.keyring import KeyKind, KeyStatus, shard_of
from consent_service.vault.wraps import open_wrap, parse_sidecar
from tests.services.test_standing import Says
from tests.support.clinic import Clinic, Family
from tests.support.faulty_store import HappeningStore
from tests.support.kept_film import asset_row
from tests.support.keyrings import AT
from tests.support.safe import consenting_mother, film_of_mother_and_baby


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it."""


class Ends(MemoryJournal):
    """The clinic's own journal, which takes no line any more."""

    def __init__(self, real: Journal, fault: BaseException) -> None:
        assert isinstance(real, MemoryJournal)
        super().__init__(real._signer, real._public_keys)
        self._lines = real._lines
        self._fault = fault

    def append(self, *_: object) -> JournalLine:
        """Raise what it was told."""
        raise self._fault


class Meanwhile(Says):
    """A watch in whose first look somebody else does something."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens = happens

    def require_newest(self) -> None:
        """Let it happen, once."""
        happens, self._happens = self._happens, lambda: None
        happens()


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which the mother has said yes, for herself and for the baby."""
    return consenting_mother(clinic)


@pytest.fixture
def film(clinic: Clinic, family: Family) -> str:
    """A film of mother and baby in which, it turns out, the father can be heard."""
    return film_of_mother_and_baby(clinic, family)


def _without_sidecars(ctx: Context, fault: BaseException) -> Context:
    """The same service where the next sidecar that is begun meets this."""

    def fails() -> None:
        raise fault

    return dataclasses.replace(ctx, blobs=HappeningStore(ctx.blobs, ".json", fails))  # type: ignore[arg-type]


def _owed(clinic: Clinic) -> int:
    with clinic.ctx.read() as session:
        return session.scalar(select(func.count()).select_from(JournalDue)) or 0


def _lines(clinic: Clinic) -> list[JournalLine]:
    return [line for line in clinic.ctx.journal.lines() if line.kind is LineKind.KEY_DESTROYED]


def _sidecar_opens(clinic: Clinic, film: str) -> bool:
    """Tell whether what stands beside the film opens it with keys that are live."""
    sidecar = parse_sidecar(clinic.ctx.blobs.read_range(f"{film}.json", 0, 100_000))
    wanted = {sidecar.asset_key_id, *(k for wrap in sidecar.wraps for k in wrap.key_ids)}
    live = clinic.ctx.keyring.read(sorted(wanted))
    return sidecar.asset_key_id in live and any(
        open_wrap(wrap, live[sidecar.asset_key_id], live)
        for wrap in sidecar.wraps
        if live.keys() >= set(wrap.key_ids)
    )


def test_a_store_that_takes_no_sidecar_leaves_no_old_key_alive(
    clinic: Clinic, family: Family, film: str
) -> None:
    """Somebody who was not asked is in it: the old sidecar must open nothing from then on."""
    old = asset_row(clinic, film).asset_key_id
    assert _sidecar_opens(clinic, film)
    ctx = _without_sidecars(clinic.ctx, Unavailable("The store is away."))

    depicted.add_depicted(ctx, clinic.guider, film, family.father)

    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.DESTROYED}
    assert not _sidecar_opens(clinic, film)
    body = {"order": film, "keys": [old], "shard": shard_of(family.involvement)}
    assert [line.body for line in _lines(clinic)] == [body]
    assert _owed(clinic) == 0


@pytest.mark.parametrize("job", ["settle-awaiting", "erasure"])
def test_a_process_that_is_killed_before_the_old_key_goes_leaves_it_to_the_worker(
    clinic: Clinic, family: Family, film: str, job: str
) -> None:
    """The new key is committed, so nothing else would ever look for the old one."""
    old = asset_row(clinic, film).asset_key_id

    dying = dataclasses.replace(clinic.ctx, journal=Ends(clinic.ctx.journal, Killed()))
    with pytest.raises(Killed):
        depicted.add_depicted(dying, clinic.guider, film, family.father)
    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.LIVE}
    assert erasure_journal.write_missing_lines(clinic.ctx) == 0, "a line alone ends no key"
    assert (_owed(clinic), _lines(clinic)) == (1, [])

    if job == "erasure":
        erasure.work(clinic.ctx, "worker")
    else:
        CATALOGUE[job].act(clinic.ctx)

    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.DESTROYED}
    body = {"order": film, "keys": [old], "shard": shard_of(family.involvement)}
    assert [line.body for line in _lines(clinic)] == [body]
    assert _owed(clinic) == 0
    assert replaced_keys.destroy(clinic.ctx) == 0


def test_a_process_that_is_killed_between_line_and_key_ends_the_key_with_the_next(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note goes last; a line that stands twice is what replay reads as one."""
    old = asset_row(clinic, film).asset_key_id

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(clinic.ctx.keyring, "destroy", dies)
        with pytest.raises(Killed):
            depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)

    depicted_keys.settle_awaiting(clinic.ctx)

    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.DESTROYED}
    assert [line.body["keys"] for line in _lines(clinic)] == [[old], [old]]


def test_an_old_key_waits_for_a_good_look_at_the_journal(
    clinic: Clinic, family: Family, film: str
) -> None:
    """The first look was good and the second not: the note stays until one is good again."""
    old = asset_row(clinic, film).asset_key_id
    says = Says()
    broken = JournalBroken("It was cut.")
    ctx = dataclasses.replace(clinic.ctx, journal=Ends(clinic.ctx.journal, broken))
    depicted.add_depicted(ctx, clinic.guider, film, family.father)
    clinic.ctx.standing.follow(says)
    says.fault = broken
    with pytest.raises(JournalBroken):
        depicted_keys.settle_awaiting(clinic.ctx)
    assert (clinic.ctx.keyring.status([old]), _lines(clinic)) == ({old: KeyStatus.LIVE}, [])

    says.fault = None
    depicted_keys.settle_awaiting(clinic.ctx)

    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.DESTROYED}


def test_a_key_that_came_too_late_goes_and_the_one_in_use_stays(
    clinic: Clinic, family: Family, film: str
) -> None:
    """Two processes settle the same film: one key is used, the other must not be left over."""
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    clinic.passes(minutes=1)
    old = asset_row(clinic, film).asset_key_id
    another = dataclasses.replace(clinic.ctx, standing=Standing())
    clinic.ctx.standing.follow(Meanwhile(lambda: depicted_keys.settle(another, family.involvement)))

    depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)

    used = asset_row(clinic, film).asset_key_id
    first, second = (line.body["keys"] for line in _lines(clinic))
    assert first == [old]
    assert second not in ([old], [used])
    states = clinic.ctx.keyring.status([old, used, *second])
    assert states.pop(used) is KeyStatus.LIVE
    assert set(states.values()) == {KeyStatus.DESTROYED}
    assert _sidecar_opens(clinic, film)


def test_a_key_that_another_found_and_destroyed_is_not_used(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever noticed the father is told of no fault: the other has done it all."""
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    clinic.passes(minutes=1)
    real = clinic.ctx.keyring.create

    def create(*about: Any) -> bool:
        made = real(*about)
        monkeypatch.setattr(clinic.ctx.keyring, "create", real)
        depicted_keys.settle(clinic.ctx, family.involvement)
        return made

    monkeypatch.setattr(clinic.ctx.keyring, "create", create)
    depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)

    assert clinic.watches(film)
    assert _film_keys(clinic) == {asset_row(clinic, film).asset_key_id}
    assert _sidecar_opens(clinic, film)


def test_no_erasure_is_done_while_a_replaced_key_lives(
    clinic: Clinic, family: Family, film: str
) -> None:
    """Its certificate would say that no key opens the film, and an older sidecar's does."""
    older = "ab" * 16
    clinic.ctx.keyring.create(older, KeyKind.ASSET, 0, clinic.clock.now())
    done = clinic.withdraws(family, family.mother)
    with clinic.ctx.begin() as uow:
        replaced_keys.owe(uow, film, older)

    assert done.erasure_order is not None
    assert erasure.carry_out(clinic.ctx, done.erasure_order, "worker")

    assert clinic.ctx.keyring.status([older]) == {older: KeyStatus.DESTROYED}


def _dies_before_it_is_written_down(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Notice the father, and be killed between the new key and its row; returns that key."""

    def dies(*_: object) -> None:
        raise Killed

    before = {entry.key_id for entry in clinic.ctx.keyring.list_keys()}
    with monkeypatch.context() as patch:
        patch.setattr(depicted_keys, "_write_replacement", dies)
        with pytest.raises(Killed):
            depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)
    (made,) = {entry.key_id for entry in clinic.ctx.keyring.list_keys()} - before
    return made


def _film_keys(clinic: Clinic) -> set[str]:
    return {e.key_id for e in clinic.ctx.keyring.list_keys() if e.kind is not KeyKind.CONSENT}


def test_no_erasure_leaves_the_data_key_that_a_killed_process_had_sealed(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens any copy of the film, and the certificate would call that irrecoverable."""
    sealed = _dies_before_it_is_written_down(clinic, family, film, monkeypatch)
    used = asset_row(clinic, film).asset_key_id
    assert clinic.ctx.keyring.read_sealed([sealed])

    clinic.passes(minutes=1)
    done = clinic.withdraws(family, family.mother)
    assert done.erasure_order is not None
    erasure.carry_out(clinic.ctx, done.erasure_order, "worker")

    assert _film_keys(clinic) == set()
    assert clinic.ctx.keyring.status([sealed]) == {sealed: KeyStatus.DESTROYED}
    assert [sealed, used] == [k for line in _lines(clinic) for k in line.body["keys"]][-2:]
    view = certificates.certificate(clinic.ctx, clinic.ig, done.erasure_order)
    assert {sealed, used} <= {key["key"] for key in json.loads(view.body)["keys"]}


def test_a_key_that_is_made_while_film_is_erased_goes_before_it_is_certified(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody settled the film at that moment, and was killed."""
    clinic.passes(minutes=1)
    done = clinic.withdraws(family, family.mother)
    made: list[str] = []
    delete = erasure_steps.ACTS[StepKind.DELETE_WRAPS]

    def meanwhile(ctx: Context, order: str) -> dict[str, int]:
        made.append(replaced_keys.after(asset_row(clinic, film).asset_key_id))
        ctx.keyring.seal_secret(made[0], bytes(32), 0, clinic.clock.now())
        return delete(ctx, order)

    acts = {**erasure_steps.ACTS, StepKind.DELETE_WRAPS: meanwhile}
    monkeypatch.setattr(erasure_steps, "ACTS", acts)
    assert done.erasure_order is not None
    erasure.carry_out(clinic.ctx, done.erasure_order, "worker")

    assert clinic.ctx.keyring.status(made) == {made[0]: KeyStatus.DESTROYED}


def test_what_a_killed_process_had_made_goes_with_the_key_that_is_replaced(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next who settles cannot know whether it is whole, so they make one of their own."""
    left = _dies_before_it_is_written_down(clinic, family, film, monkeypatch)
    old = asset_row(clinic, film).asset_key_id

    depicted_keys.settle_awaiting(clinic.ctx)

    used = asset_row(clinic, film).asset_key_id
    assert used not in (old, left)
    assert _film_keys(clinic) == {used}
    body = {"order": film, "keys": [old, left], "shard": shard_of(family.involvement)}
    assert [line.body for line in _lines(clinic)] == [body]
    clinic.passes(minutes=1)
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    assert clinic.watches(film)


def test_a_film_that_waits_for_the_second_time_outlives_a_killed_process(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data key lay under escrow before: that place is destroyed, and this one is not it.

    Somebody who is killed between a line and its key has every tombstone looked at again.
    """
    _dies_before_it_is_written_down(clinic, family, film, monkeypatch)
    depicted_keys.settle_awaiting(clinic.ctx)
    used = asset_row(clinic, film).asset_key_id
    assert clinic.ctx.keyring.status([used]) == {used: KeyStatus.SEALED}
    line = {"order": film, "keys": ["ab" * 16], "shard": shard_of(family.involvement)}
    clinic.ctx.journal.append(LineKind.KEY_DESTROYED, line, clinic.clock.now())

    startup.replay(clinic.ctx)

    assert clinic.ctx.keyring.status([used]) == {used: KeyStatus.SEALED}
    clinic.passes(minutes=1)
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    assert clinic.watches(film)


def test_two_who_make_the_next_key_at_once_never_share_one(
    clinic: Clinic, family: Family, film: str
) -> None:
    """Who comes too late destroys what they made: that must not be what the other has used."""
    first = asset_row(clinic, film).asset_key_id
    asked: list[str] = []

    def taken_once(key: str) -> bool:
        asked.append(key)
        return len(asked) > 1 and clinic.ctx.keyring.create(key, KeyKind.ASSET, 0, AT)

    fresh, passed = replaced_keys.make_next(clinic.ctx, first, taken_once)

    assert asked == [replaced_keys.after(first), fresh]
    assert passed == (asked[0],)


def test_an_old_key_stays_while_the_one_in_its_place_is_missing(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keyring fell back to a moment ago: the old key is all that opens the film."""
    old = asset_row(clinic, film).asset_key_id
    dying = dataclasses.replace(clinic.ctx, journal=Ends(clinic.ctx.journal, Killed()))
    with pytest.raises(Killed):
        depicted.add_depicted(dying, clinic.guider, film, family.father)
    real = clinic.ctx.keyring.status

    def without_the_new(key_ids: Collection[str]) -> dict[str, KeyStatus]:
        lost = {asset_row(clinic, film).asset_key_id: KeyStatus.ABSENT}
        return {key: lost.get(key, state) for key, state in real(key_ids).items()}

    with monkeypatch.context() as patch:
        patch.setattr(clinic.ctx.keyring, "status", without_the_new)
        depicted_keys.settle_awaiting(clinic.ctx)
    assert (real([old]), _owed(clinic)) == ({old: KeyStatus.LIVE}, 1)

    depicted_keys.settle_awaiting(clinic.ctx)

    assert (real([old]), _owed(clinic)) == ({old: KeyStatus.DESTROYED}, 0)
