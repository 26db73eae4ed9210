"""What every store promises, tried on every adapter."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent_service.clock import FixedClock
from consent_service.errors import Conflict, Gone, NotFound
from consent_service.vault.blobs import NAME_MAX, BlobStore, Unfinished, open_store
from consent_service.vault.blobs.folder import FolderStore
from consent_service.vault.blobs.memory import MemoryStore
from consent_service.vault.blobs.s3 import S3Store
from tests.support.faulty_store import FaultyStore
from tests.support.seaweed import Seaweed

AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
NAME = "0123456789abcdef0123456789abcdef"
CONTENT = bytes(range(256)) * 300


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still."""
    return FixedClock(AT)


@pytest.fixture(scope="module")
def buckets(object_store: Seaweed) -> dict[str, BlobStore]:
    """A bucket without versions and one with; a client of S3 takes long to make."""
    return {
        "bucket": open_store(object_store.store_url()),
        "bucket-with-versions": open_store(object_store.store_url(versions=True)),
    }


@pytest.fixture(params=["folder", "memory", "faulty", "bucket", "bucket-with-versions"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[BlobStore]:
    """Each adapter, empty; `faulty` proves that the support class itself keeps the promises."""
    if request.param.startswith("bucket"):
        made: BlobStore = request.getfixturevalue("buckets")[request.param]
    elif request.param == "folder":
        made = FolderStore(tmp_path / "store", clock=clock)
    else:
        memory = MemoryStore(clock=clock)
        made = FaultyStore(memory) if request.param == "faulty" else memory
    yield made
    assert list(made.list_unfinished()) == [], "an object was left unfinished"
    for name in list(made.list()):
        made.delete(name)


def put(store: BlobStore, name: str, content: bytes = CONTENT, **how: bool) -> None:
    """Store an object in one piece."""
    with store.put(name, **how) as sink:
        sink.write(content)


def test_an_object_comes_back_as_it_was_put(store: BlobStore) -> None:
    """Every kind of buffer that a writer may hold is taken, in order."""
    with store.put(NAME, expected_size=9) as sink:
        written = [sink.write(part) for part in (b"abc", bytearray(b"def"), memoryview(b"ghi"))]

    assert written == [3, 3, 3]
    assert store.read_range(NAME, 0, 100) == b"abcdefghi"


def test_an_empty_object_is_an_object(store: BlobStore) -> None:
    """Nothing written is not the same as nothing there."""
    put(store, NAME, b"")

    with store.open(NAME) as source:
        assert (source.size, source.read_into(0, bytearray(4))) == (0, 0)


@pytest.mark.parametrize("expected_size", [None, 0, 10, len(CONTENT), len(CONTENT) * 3])
def test_the_expected_size_is_only_an_expectation(
    store: BlobStore, expected_size: int | None
) -> None:
    """Room that was reserved and not needed must not become bytes of the object."""
    with store.put(NAME, expected_size=expected_size) as sink:
        sink.write(CONTENT)

    with store.open(NAME) as source:
        assert source.size == len(CONTENT)
    assert store.read_range(NAME, 0, len(CONTENT)) == CONTENT


def test_a_sink_that_is_finished_takes_nothing_more(store: BlobStore) -> None:
    """A late write must not reach an object that is already trusted."""
    with store.put(NAME) as sink:
        sink.write(b"abc")

    with pytest.raises(ValueError, match="finished"):
        sink.write(b"def")
    assert store.read_range(NAME, 0, 10) == b"abc"


def test_an_object_is_not_visible_before_it_is_whole(store: BlobStore) -> None:
    """A reader must never meet half a film."""
    with store.put(NAME) as sink:
        sink.write(CONTENT)
        seen = list(store.list())
        with pytest.raises(NotFound):
            store.open(NAME)

    assert seen == []
    assert list(store.list()) == [NAME]


def test_a_failed_put_leaves_nothing(store: BlobStore) -> None:
    """An upload that breaks off must not leave ciphertext that nobody knows of."""
    with pytest.raises(KeyboardInterrupt), store.put(NAME, expected_size=1000) as sink:
        sink.write(CONTENT)
        raise KeyboardInterrupt

    assert list(store.list()) == []
    assert store.delete(NAME) is False


def test_a_failed_replacement_leaves_the_old_object(store: BlobStore) -> None:
    """A sidecar that cannot be rewritten must stay readable as it was."""
    put(store, NAME, b"old")

    with pytest.raises(RuntimeError), store.put(NAME, replace=True) as sink:
        sink.write(b"new")
        raise RuntimeError

    assert store.read_range(NAME, 0, 10) == b"old"


def test_put_replaces_only_when_told_to(store: BlobStore) -> None:
    """Overwriting a film by accident would lose it."""
    put(store, NAME, b"old")

    with pytest.raises(Conflict) as refused:
        put(store, NAME, b"new")
    kept = store.read_range(NAME, 0, 10)
    put(store, NAME, b"new", replace=True)

    assert refused.value.code == "exists"
    assert (kept, store.read_range(NAME, 0, 10)) == (b"old", b"new")


def test_of_two_writers_of_one_name_the_first_to_finish_wins(store: BlobStore) -> None:
    """The second must learn that it lost, and must not undo the first."""
    with pytest.raises(Conflict), store.put(NAME) as slow:
        slow.write(b"slow")
        put(store, NAME, b"fast")

    assert store.read_range(NAME, 0, 10) == b"fast"


def test_threads_that_race_for_one_name_leave_one_whole_object(store: BlobStore) -> None:
    """Two workers carrying out the same job must not mix their bytes."""
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def write(letter: bytes) -> None:
        start.wait()
        try:
            put(store, NAME, letter * 10_000)
        except Conflict:
            outcomes.append("lost")
        else:
            outcomes.append("won")

    threads = [threading.Thread(target=write, args=(bytes([65 + n]),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(outcomes) <= {"lost", "won"} and "won" in outcomes
    if not isinstance(store, S3Store):
        # In a bucket the server decides, and not every server does so one at a time.
        assert outcomes.count("won") == 1
    assert len(set(store.read_range(NAME, 0, 20_000))) == 1


def test_what_is_not_there_is_not_found(store: BlobStore) -> None:
    """The refusal names the object, so that an operator can look for it."""
    for read in (lambda: store.open(NAME), lambda: store.read_range(NAME, 0, 1)):
        with pytest.raises(NotFound, match=NAME):
            read()


@given(offset=st.integers(0, len(CONTENT) + 10), length=st.integers(0, len(CONTENT) + 10))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_range_reads_as_a_slice(store: BlobStore, offset: int, length: int) -> None:
    """Seeking in a film asks for ranges anywhere, past the end included."""
    put(store, NAME, replace=True)

    with store.open(NAME) as source:
        buffer = bytearray(length)
        count = source.read_into(offset, buffer)

    expected = CONTENT[offset : offset + length]
    assert bytes(buffer[:count]) == expected == store.read_range(NAME, offset, length)


def test_a_range_before_the_beginning_is_refused(store: BlobStore) -> None:
    """A negative number is a fault in the caller, and must not read from the end."""
    put(store, NAME)

    with store.open(NAME) as source, pytest.raises(ValueError, match="negative"):
        source.read_into(-1, bytearray(1))
    for offset, length in ((-1, 1), (0, -1)):
        with pytest.raises(ValueError, match="negative"):
            store.read_range(NAME, offset, length)


def test_a_closed_source_is_not_read(store: BlobStore) -> None:
    """A file number that was given back may belong to another film by now."""
    put(store, NAME)
    with store.open(NAME) as source:
        pass

    with pytest.raises(ValueError, match=r"closed|released"):
        source.read_into(0, bytearray(1))


def test_an_open_object_can_be_read_to_its_end(store: BlobStore) -> None:
    """A stream under way reads one object, never a mix of the old and the new."""
    put(store, NAME, b"old")

    with store.open(NAME) as source:
        put(store, NAME, b"replaced", replace=True)
        store.delete(NAME)
        buffer = bytearray(8)
        count = source.read_into(0, buffer)

    assert bytes(buffer[:count]) == b"old"


def test_a_replaced_object_is_never_read_as_a_mix(store: BlobStore) -> None:
    """Beyond what it holds, a store that cannot keep the old bytes says that they are gone."""
    put(store, NAME, b"a" * 50_000)

    with store.open(NAME) as source:
        put(store, NAME, b"b" * 50_000, replace=True)
        buffer = bytearray(100)
        try:
            count = source.read_into(40_000, buffer)
        except Gone:
            count = 0

    assert bytes(buffer[:count]) in (b"", b"a" * 100)


def test_what_an_opening_saw_opens_that_very_object_again(store: BlobStore) -> None:
    """Each range of a film would otherwise ask for what the one before it was told."""
    put(store, NAME)
    with store.open(NAME) as source:
        seen = source.seen

    with store.open(NAME, seen) as again:
        buffer = bytearray(1000)
        assert again.read_into(40_000, buffer) == 1000
        assert (again.size, again.seen) == (len(CONTENT), seen)
    assert bytes(buffer) == CONTENT[40_000:41_000]


def test_what_an_opening_saw_opens_no_other_object(store: BlobStore) -> None:
    """What was proven of one object says nothing of the next one of that name."""
    put(store, NAME, b"a" * 50_000)
    with store.open(NAME) as source:
        seen = source.seen
    put(store, NAME, b"b" * 50_000, replace=True)

    with pytest.raises(Gone), store.open(NAME, seen) as again:
        again.read_into(40_000, bytearray(100))
    store.delete(NAME)
    with pytest.raises((Gone, NotFound)), store.open(NAME, seen) as again:
        again.read_into(40_000, bytearray(100))


def test_deletion_may_be_repeated(store: BlobStore) -> None:
    """Erasure steps run again after a crash: already gone is success, and is told apart."""
    put(store, NAME)

    assert [store.delete(NAME), store.delete(NAME)] == [True, False]
    with pytest.raises(NotFound):
        store.open(NAME)


def test_many_objects_are_deleted_at_once(store: BlobStore) -> None:
    """A family has many films; each version of each of them goes, and nothing beside them."""
    names = [f"{number:032x}.1" for number in range(5)]
    for name in (*names, NAME):
        put(store, name, b"old")
    put(store, names[0], b"new", replace=True)

    store.delete_many([*names, "never.there"])
    store.delete_many(names)

    assert list(store.list()) == [NAME]
    assert [store.delete(name) for name in names] == [False] * 5


def test_a_deleted_name_is_free_again(store: BlobStore) -> None:
    """A restore puts objects back under their names."""
    put(store, NAME, b"old")
    store.delete(NAME)

    put(store, NAME, b"new")

    assert store.read_range(NAME, 0, 10) == b"new"


def test_names_are_listed_in_order_by_prefix(store: BlobStore) -> None:
    """Reconciliation walks store and database side by side; an asset's sidecar is beside it."""
    names = ["a", "ab", "ab0", "ab0.json", "abc-1", "b0", "b0.json"]
    for name in reversed(names):
        put(store, name, b"")

    assert list(store.list()) == names
    for prefix in ("", "a", "ab", "ab0", "b0.", "c", "A", "ab/"):
        assert list(store.list(prefix)) == [n for n in names if n.startswith(prefix)]


def test_what_is_being_written_is_listed_with_its_beginning(
    store: BlobStore, clock: FixedClock
) -> None:
    """The sweep of abandoned uploads goes by their age."""
    with store.put("b0"):
        clock.advance(timedelta(minutes=5))
        with store.put("a0.json"):
            found = list(store.list_unfinished())

    assert [one.name for one in found] == ["a0.json", "b0"]
    if isinstance(store, S3Store):
        # The server's own clock says when.
        assert all(abs(one.started_at - datetime.now(UTC)) < timedelta(hours=1) for one in found)
    else:
        assert found == [Unfinished("a0.json", AT + timedelta(minutes=5)), Unfinished("b0", AT)]


def test_a_discarded_object_cannot_be_finished(store: BlobStore) -> None:
    """An upload under way when consent ends must not appear after its erasure."""
    with pytest.raises(Gone, match=NAME), store.put(NAME) as sink, store.put("other"):
        sink.write(CONTENT)
        store.discard_unfinished(NAME)
        left = [one.name for one in store.list_unfinished()]

    assert left == ["other"]
    assert list(store.list()) == ["other"]


def test_discarding_what_is_not_there_is_no_fault(store: BlobStore) -> None:
    """Erasure steps run again after a crash."""
    store.discard_unfinished(NAME)
    store.discard_unfinished(NAME)

    assert list(store.list_unfinished()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".a", "-a", "a/b", "../a", "A", "a~b", "a b", "a\n", "a" * 181, "é"]
)
def test_no_object_has_a_name_that_could_lead_elsewhere(store: BlobStore, name: str) -> None:
    """A name is never a way out of the store."""
    with pytest.raises(ValueError, match="name"), store.put(name):
        pass
    for act in (store.open, store.delete, store.discard_unfinished):
        with pytest.raises(ValueError, match="name"):
            act(name)


def test_a_name_may_be_as_long_as_the_port_says(store: BlobStore) -> None:
    """The longest name must still leave room for what the adapter adds to it."""
    name = "n" * NAME_MAX

    put(store, name, b"x")

    assert list(store.list()) == [name]


def test_a_sound_store_passes_its_check_and_keeps_no_trace(store: BlobStore) -> None:
    """`check` runs at every start."""
    store.check()

    assert list(store.list()) == []
