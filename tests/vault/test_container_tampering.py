"""Whatever was done to a stored object, it is refused, and nothing wrong is ever handed out."""

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.errors import ContainerCorrupt
from consent_service.vault.container import (
    BytesSource,
    ContainerReader,
    ObjectKind,
    decrypt_stream,
    film_context,
    part_context,
)
from tests.support.containers import (
    CHUNK,
    CONTEXT,
    HEADER,
    KEY,
    STORED_CHUNK,
    RecordingSource,
    chunks_of,
    film_of,
    sealed_by_library,
)

FILM = film_of(3 * CHUNK + 100)
STORED = sealed_by_library(FILM)
SHORT_FILM = film_of(40)
SHORT = sealed_by_library(SHORT_FILM)
CHUNKS = chunks_of(STORED)


def read_all(stored: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    """Open an object by its ends, then read every byte of it."""
    reader = ContainerReader(BytesSource(stored), key, context)
    return reader.read(0, reader.size)


def read_with_known_size(stored: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    """Open an object whose header and length are in the caller's database."""
    known = {True: (STORED, FILM), False: (SHORT, SHORT_FILM)}[stored[:24] == STORED[:24]]
    reader = ContainerReader(
        BytesSource(stored), key, context, header=known[0][:HEADER], known_size=len(known[1])
    )
    return reader.read(0, reader.size)


def stream(stored: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    """Decrypt from end to end; what reached the sink must be true even when it ends badly."""
    plain = io.BytesIO()
    try:
        decrypt_stream(io.BytesIO(stored), plain, key, context)
    finally:
        released = plain.getvalue()
        assert FILM.startswith(released) or SHORT_FILM.startswith(released)
    return plain.getvalue()


Way = Callable[..., bytes]
WAYS = pytest.mark.parametrize("way", [read_all, stream])


@pytest.mark.parametrize("way", [read_all, read_with_known_size, stream])
def test_an_untouched_object_opens(way: Way) -> None:
    """Without this, refusing everything would pass all that follows."""
    assert way(STORED) == FILM
    assert way(SHORT) == SHORT_FILM


@WAYS
def test_every_changed_byte_is_noticed(way: Way) -> None:
    """A disk, or an attacker, changes single bytes: salt, commitment, film or tag."""
    for place in range(len(SHORT)):
        changed = bytearray(SHORT)
        changed[place] ^= 0x80

        with pytest.raises(ContainerCorrupt):
            way(bytes(changed))


@pytest.mark.parametrize("way", [read_all, read_with_known_size, stream])
@settings(max_examples=150, deadline=None)
@given(place=st.integers(HEADER, len(STORED) - 1), bit=st.integers(0, 7))
def test_any_changed_bit_of_a_longer_film_is_noticed(way: Way, place: int, bit: int) -> None:
    """The same for a film of several chunks, with and without a trusted length."""
    changed = bytearray(STORED)
    changed[place] ^= 1 << bit

    with pytest.raises(ContainerCorrupt):
        way(bytes(changed))


def test_every_cut_is_noticed_on_opening() -> None:
    """A film cut off by a full disk must not look like a shorter film, at any length."""
    two_chunks = sealed_by_library(film_of(CHUNK + 300))

    for length in range(len(two_chunks)):
        with pytest.raises(ContainerCorrupt):
            ContainerReader(BytesSource(two_chunks[:length]), KEY, CONTEXT)


@pytest.mark.parametrize(
    "length",
    [
        0,
        23,
        24,
        55,
        56,
        71,
        72,
        *(HEADER + k * STORED_CHUNK + d for k in (1, 2, 3) for d in (0, 16)),
    ],
)
def test_every_cut_is_noticed_at_the_end_of_a_stream(length: int) -> None:
    """Where a chunk ends is where other formats take a cut film for a whole one."""
    with pytest.raises(ContainerCorrupt):
        stream(STORED[:length])


@WAYS
@pytest.mark.parametrize(
    "more", [b"\0", bytes(15), bytes(16), CHUNKS[3], CHUNKS[0], bytes(STORED_CHUNK), STORED]
)
def test_anything_after_the_end_is_noticed(way: Way, more: bytes) -> None:
    """An object is one message and nothing else."""
    with pytest.raises(ContainerCorrupt):
        way(STORED + more)


@WAYS
@pytest.mark.parametrize(
    "order", [(1, 0, 2, 3), (0, 2, 1, 3), (0, 1, 1, 3), (0, 2, 3), (0, 1, 3), (3,), (0, 1, 2)]
)
def test_chunks_out_of_place_are_noticed(way: Way, order: tuple[int, ...]) -> None:
    """Scenes swapped, repeated or left out would tell another story."""
    with pytest.raises(ContainerCorrupt):
        way(STORED[:HEADER] + b"".join(CHUNKS[number] for number in order))


@WAYS
def test_a_chunk_of_another_film_under_the_same_key_is_noticed(way: Way) -> None:
    """One data key may encrypt several messages; their chunks must not be exchanged."""
    other = sealed_by_library(film_of(3 * CHUNK + 101)[:-1])
    spliced = STORED[: HEADER + STORED_CHUNK] + other[HEADER + STORED_CHUNK :]

    with pytest.raises(ContainerCorrupt):
        way(spliced)


@WAYS
def test_another_films_header_is_noticed(way: Way) -> None:
    """The header chooses the keys, so it must belong to the chunks."""
    with pytest.raises(ContainerCorrupt):
        way(SHORT[:HEADER] + STORED[HEADER:])


@WAYS
def test_the_wrong_key_opens_nothing(way: Way) -> None:
    """A key that differs in one bit is another key."""
    with pytest.raises(ContainerCorrupt):
        way(STORED, key=KEY[:-1] + bytes([KEY[-1] ^ 1]))


ASSET, OTHER_ASSET = "aa" * 16, "ab" * 16


@pytest.mark.parametrize(
    "wrong",
    [
        film_context(ObjectKind.CLIP, ASSET, 1),
        film_context(ObjectKind.RECORDING, OTHER_ASSET, 1),
        film_context(ObjectKind.RECORDING, ASSET, 2),
        film_context(ObjectKind.RECORDING, ASSET, 0),
        part_context(ASSET, 1, 0),
    ],
)
@WAYS
def test_an_object_in_anothers_place_is_refused(way: Way, wrong: bytes) -> None:
    """Whoever can write to the store must not swap families' films or bring an old one back."""
    right = film_context(ObjectKind.RECORDING, ASSET, 1)
    stored = sealed_by_library(SHORT_FILM, context=right)

    assert way(stored, context=right) == SHORT_FILM
    with pytest.raises(ContainerCorrupt):
        way(stored, context=wrong)


def test_upload_parts_cannot_change_places() -> None:
    """A film put together in the wrong order would be archived so."""
    part = sealed_by_library(SHORT_FILM, context=part_context(ASSET, 1, 40))

    assert read_all(part, context=part_context(ASSET, 1, 40)) == SHORT_FILM
    with pytest.raises(ContainerCorrupt):
        read_all(part, context=part_context(ASSET, 1, 0))


@WAYS
@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=4 * CHUNK))
def test_noise_is_refused(way: Way, noise: bytes) -> None:
    """Bytes from nowhere cost no memory and open nothing."""
    with pytest.raises(ContainerCorrupt):
        way(noise)


@pytest.mark.parametrize("size", [0, len(FILM) - 1, len(FILM) + 1, len(FILM) + CHUNK])
def test_a_length_that_the_database_does_not_confirm_is_refused(size: int) -> None:
    """With a trusted length the last chunk is not read, so the sizes must agree exactly."""
    with pytest.raises(ContainerCorrupt):
        ContainerReader(BytesSource(STORED), KEY, CONTEXT, known_size=size)


@pytest.mark.parametrize(
    "header",
    [b"", STORED[:55], STORED[:57], SHORT[:HEADER]],
    ids=["none", "cut", "too long", "of another object"],
)
def test_a_remembered_header_must_fit(header: bytes) -> None:
    """A row that belongs to another object must not open this one."""
    with pytest.raises(ContainerCorrupt):
        ContainerReader(BytesSource(STORED), KEY, CONTEXT, header=header).read(0, len(FILM))


def test_an_object_that_shrinks_while_it_is_read_is_noticed() -> None:
    """A file changed under an open descriptor must end in an error, not in a short film."""
    source = RecordingSource(STORED)
    reader = ContainerReader(source, KEY, CONTEXT)
    source.stored = STORED[: HEADER + STORED_CHUNK + 5]

    with pytest.raises(ContainerCorrupt):
        reader.read(CHUNK, CHUNK)


def test_a_buffer_that_met_a_wrong_chunk_holds_nothing() -> None:
    """The library leaves unauthenticated bytes behind; nobody must see them."""
    changed = bytearray(STORED)
    changed[HEADER + 2 * STORED_CHUNK] ^= 1
    reader = ContainerReader(BytesSource(bytes(changed)), KEY, CONTEXT)
    buffer = bytearray(b"x" * len(FILM))

    with pytest.raises(ContainerCorrupt):
        reader.read_into(0, buffer)

    assert not any(buffer)


def test_a_chunk_that_is_wrong_leaves_nothing_where_it_was_decrypted() -> None:
    """The room for the edges of a range is lent again, to readers of other films."""
    reader = ContainerReader(BytesSource(STORED), KEY, CONTEXT)
    wrong = memoryview(bytearray(CHUNKS[0]))
    wrong[9] ^= 1
    target = memoryview(bytearray(b"x" * CHUNK))

    with pytest.raises(ContainerCorrupt):
        reader._decrypt(0, (wrong,), (target,))

    assert not any(target)


def test_pieces_before_a_wrong_one_are_true_and_the_wrong_one_never_comes() -> None:
    """A stream that breaks off has shown nothing but the film."""
    changed = bytearray(STORED)
    changed[HEADER + 2 * STORED_CHUNK + 7] ^= 1
    pieces = ContainerReader(BytesSource(bytes(changed)), KEY, CONTEXT).iter_range(
        10, len(FILM) - 10, CHUNK
    )

    seen = next(pieces) + next(pieces)

    assert seen == FILM[10 : 2 * CHUNK]
    with pytest.raises(ContainerCorrupt):
        next(pieces)


def test_every_wrong_object_gets_the_same_answer() -> None:
    """An answer that tells how it is wrong helps whoever forges."""
    inside = SHORT[:30] + bytes([SHORT[30] ^ 1]) + SHORT[31:]
    wrong = [SHORT[:-1], b"", inside, SHORT[:-1] + bytes([SHORT[-1] ^ 1]), SHORT + b"\0"]
    answers = set()

    for stored in wrong:
        with pytest.raises(ContainerCorrupt) as refusal:
            read_all(stored)
        answers.add((str(refusal.value), refusal.value.code, str(refusal.value.details)))
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None

    assert len(answers) == 1


@pytest.mark.parametrize("key", [b"", KEY[:31], KEY + b"\0"])
@WAYS
def test_a_key_of_another_length_is_a_mistake_of_the_caller(way: Way, key: bytes) -> None:
    """It says nothing about the object, so it must not look like corruption."""
    with pytest.raises(ValueError, match="32 bytes"):
        way(STORED, key=key)


def test_a_failing_store_is_not_taken_for_a_corrupt_film() -> None:
    """A store that is away must not make somebody restore or report a sound film."""

    class Away(RecordingSource):
        def read_into(self, offset: int, buffer: memoryview, /) -> int:
            raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        ContainerReader(Away(STORED), KEY, CONTEXT)
