"""Several processes at one keyring: whoever is late reads again, and nothing slips between."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consent_service.errors import KeyDestroyed, Unavailable
from consent_service.ids import new_id
from consent_service.vault.key_providers import FileKeyProvider
from consent_service.vault.keyring import KeyKind, Keyring, KeyStatus, NewKey
from tests.support.keyrings import AT, LATER, Interleaved, KeyringHome, make_keys


@pytest.fixture
def slow(home: KeyringHome, keyring: Keyring) -> tuple[Keyring, Interleaved, Interleaved]:
    """A second process at the same keyring whose providers let others go first."""
    live, escrow = Interleaved(home.live), Interleaved(home.escrow)
    return home.open(live, escrow), live, escrow


def _create_in_a_new_keyring(
    url: str, masters: Path, key_id: str, start: threading.Barrier
) -> tuple[bool, bytes]:
    start.wait(30)
    live, escrow = FileKeyProvider(masters / "live"), FileKeyProvider(masters / "escrow")
    keyring = Keyring(url, live, escrow)
    made = keyring.create(key_id, KeyKind.CONSENT, 7, AT)
    return made, keyring.read([key_id])[key_id]


def test_two_processes_that_make_the_same_key_at_once_make_one(
    database_url: str, tmp_path: Path
) -> None:
    """Web and worker both see a fresh yes, on the first day, with no keyring there yet."""
    key_id = new_id()
    context = multiprocessing.get_context("fork")
    with context.Manager() as shared, context.Pool(2) as pool:
        arguments = (database_url, tmp_path, key_id, shared.Barrier(2))
        outcomes = pool.starmap(_create_in_a_new_keyring, [arguments] * 2, chunksize=1)

    assert sorted(made for made, _ in outcomes) == [False, True]
    assert len({key for _, key in outcomes}) == 1


def test_threads_that_make_seal_and_destroy_leave_one_truth(keyring: Keyring) -> None:
    """Whatever the order was, a destroyed id has no key and the rest have one."""
    rounds = [[new_id() for _ in range(4)] for _ in range(12)]

    def make(ids: list[str]) -> None:
        try:
            keyring.create_many([NewKey(key_id, KeyKind.CONSENT, 7) for key_id in ids], AT)
        except KeyDestroyed:
            keyring.create_many([NewKey(key_id, KeyKind.CONSENT, 7) for key_id in ids[1:]], AT)

    def end(ids: list[str]) -> None:
        keyring.destroy(ids[:1], "order", AT)
        keyring.seal(ids[1:2], AT)

    with ThreadPoolExecutor(6) as threads:
        jobs = [threads.submit(act, ids) for ids in rounds for act in (make, end)]
        jobs.append(threads.submit(keyring.rotate, LATER, force=True))
        for job in jobs:
            job.result(60)

    for destroyed, sealed, *live in rounds:
        states = keyring.status([destroyed, sealed, *live])
        assert states[destroyed] is KeyStatus.DESTROYED
        assert states[sealed] is KeyStatus.SEALED
        assert keyring.read([destroyed, sealed, *live]).keys() == set(live)


def test_a_reader_that_a_rotation_overtook_reads_again(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """Between its look at the tables and at the master key, the master key has gone."""
    reader, live, _ = slow
    ids = make_keys(keyring, 3)
    live.before_unwrapping = lambda: keyring.rotate(LATER, force=True)

    assert reader.read(ids) == keyring.read(ids)


def test_a_key_made_for_a_shard_that_was_just_replaced_is_made_again(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """Wrapped under the old shard key it would never open again."""
    maker, live, _ = slow
    old, new = new_id(), new_id()
    keyring.create(old, KeyKind.CONSENT, 7, AT)
    keyring.destroy([old], "order", AT)
    live.after_unwrapping = lambda: keyring.rotate(LATER)

    assert maker.create(new, KeyKind.CONSENT, 7, AT) is True
    assert keyring.read([new]).keys() == {new}


def test_a_shard_key_wrapped_under_an_old_master_key_is_not_taken(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """It was wrapped just before the rotation looked for shard keys to rewrap."""
    maker, live, _ = slow
    new = new_id()
    live.after_wrapping = lambda: keyring.rotate(LATER, force=True)

    assert maker.create(new, KeyKind.CONSENT, 7, AT) is True
    assert keyring.read([new]) == maker.read([new])


def test_two_makers_of_one_shard_share_its_key(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """The second finds the shard key of the first and uses it."""
    maker, live, _ = slow
    first, second = new_id(), new_id()
    live.after_wrapping = lambda: keyring.create(first, KeyKind.CONSENT, 7, AT)

    maker.create(second, KeyKind.CONSENT, 7, AT)

    assert keyring.read([first, second]).keys() == {first, second}


def test_a_key_destroyed_while_it_is_made_stays_destroyed(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """The withdrawal came between the key-maker's look and its write."""
    maker, live, _ = slow
    key_id = new_id()
    live.after_wrapping = lambda: keyring.destroy([key_id], "order", AT)

    with pytest.raises(KeyDestroyed):
        maker.create(key_id, KeyKind.CONSENT, 7, AT)

    assert keyring.read([key_id]) == {}


def test_a_key_sealed_into_a_shard_that_was_just_replaced_is_sealed_again(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """The same in escrow, where a held film waits for years."""
    sealer, _, escrow = slow
    [key_id, gone] = make_keys(keyring, 2, shard=7)
    before = keyring.read([key_id])
    keyring.seal([gone], AT)
    keyring.destroy([gone], "order", AT)
    escrow.after_unwrapping = lambda: keyring.rotate(LATER)

    assert sealer.seal([key_id], LATER) == {key_id}

    assert keyring.read_sealed([key_id]) == before


def test_a_key_destroyed_while_it_is_sealed_stays_destroyed(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """A seal must not carry a destroyed key into escrow."""
    sealer, live, _ = slow
    [key_id] = make_keys(keyring, 1)
    live.before_unwrapping = lambda: keyring.destroy([key_id], "order", AT)

    assert sealer.seal([key_id], LATER) == set()

    assert keyring.status([key_id]) == {key_id: KeyStatus.DESTROYED}
    assert keyring.read_sealed([key_id]) == {}


def test_a_key_made_while_its_id_is_sealed_is_sealed(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """The key-maker came between the sealer's look and its write."""
    sealer, live, _ = slow
    there, late = [*make_keys(keyring, 1), new_id()]
    live.before_unwrapping = lambda: keyring.create(late, KeyKind.CONSENT, 7, AT)

    assert sealer.seal([there, late], LATER) == {there, late}

    assert keyring.read([there, late]) == {}
    assert keyring.read_sealed([there, late]).keys() == {there, late}


def test_a_key_destroyed_while_it_is_unsealed_stays_destroyed(
    keyring: Keyring, slow: tuple[Keyring, Interleaved, Interleaved]
) -> None:
    """A cancellation that loses the race is told so."""
    unsealer, _, escrow = slow
    [key_id] = make_keys(keyring, 1)
    keyring.seal([key_id], AT)
    escrow.before_unwrapping = lambda: keyring.destroy([key_id], "order", AT)

    with pytest.raises(KeyDestroyed):
        unsealer.unseal([key_id], LATER)

    assert keyring.read([key_id]) == keyring.read_sealed([key_id]) == {}


def test_a_keyring_whose_master_keys_went_away_says_so(home: KeyringHome, keyring: Keyring) -> None:
    """While it serves: the folder of master keys was exchanged under it."""
    ids = make_keys(keyring, 2)
    home.live.rotate()
    home.live.destroy_before(2)

    with pytest.raises(Unavailable, match="keys backup") as refused:
        keyring.read(ids)
    assert refused.value.code == "keyring_stale"
    keyring.destroy(ids[:1], "order", AT)
    with pytest.raises(Unavailable, match="keys backup"):
        keyring.rotate(LATER)
