"""Any part of a film can be read, at the price of that part."""

import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.errors import RangeInvalid
from consent_service.vault.container import (
    BATCH_BYTES,
    BytesSource,
    ContainerFile,
    ContainerReader,
    FileSource,
    open_plaintext,
)
from tests.support.containers import (
    CHUNK,
    CONTEXT,
    EDGES,
    HEADER,
    KEY,
    STORED_CHUNK,
    RecordingSource,
    film_of,
    sealed_by_library,
)

FILM = film_of(40 * CHUNK + 77)
STORED = sealed_by_library(FILM)
NEAR_AN_EDGE = st.builds(
    lambda chunk, off: min(max(chunk * CHUNK + off, 0), len(FILM)),
    st.integers(0, 41),
    st.integers(-2, 2),
)
PLACES = st.one_of(st.integers(0, len(FILM)), NEAR_AN_EDGE)


def reader_of(stored: bytes = STORED) -> ContainerReader:
    """Open an object held in memory."""
    return ContainerReader(BytesSource(stored), KEY, CONTEXT)


@settings(max_examples=300, deadline=None)
@given(ends=st.tuples(PLACES, PLACES), batch=st.sampled_from([1, CHUNK, 3 * CHUNK, BATCH_BYTES]))
def test_a_range_is_the_same_part_of_the_film(ends: tuple[int, int], batch: int) -> None:
    """Seeking in a player must show exactly what lies there."""
    start, end = sorted(ends)
    reader = reader_of()
    pieces = list(reader.iter_range(start, end - start, batch))

    assert b"".join(pieces) == FILM[start:end]
    assert all(0 < len(piece) <= max(batch, CHUNK) for piece in pieces)
    assert reader.read(start, end - start) == FILM[start:end]


@settings(max_examples=200, deadline=None)
@given(st.tuples(PLACES, PLACES))
def test_a_range_costs_its_own_chunks_and_two_at_most(ends: tuple[int, int]) -> None:
    """Opening for a short look must not decrypt a whole film, nor the last chunk twice."""
    start, end = sorted(ends)
    reader = reader_of()

    reader.read(start, end - start)

    touched = set(range(start // CHUNK, -(-end // CHUNK))) if start < end else set()
    assert reader.chunks_decrypted == len(touched | {len(FILM) // CHUNK})
    assert reader.chunks_decrypted <= -(-(end - start) // CHUNK) + 2


@pytest.mark.parametrize("size", EDGES)
def test_every_film_length_can_be_read_from_every_edge(size: int) -> None:
    """Off-by-one faults live where chunks and films end."""
    film = film_of(size)
    reader = reader_of(sealed_by_library(film))

    for start in {edge for edge in EDGES if edge <= size}:
        assert reader.read(start, size - start) == film[start:]
        assert reader.read(0, start) == film[:start]


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, 1), (0, -1), (0, len(FILM) + 1), (len(FILM), 1), (2**70, 0)]
)
def test_a_range_outside_the_film_is_refused_at_once(offset: int, length: int) -> None:
    """The page answers 416 with the size, before a single byte is on its way."""
    reader = reader_of()

    with pytest.raises(RangeInvalid) as refusal:
        reader.iter_range(offset, length)
    with pytest.raises(RangeInvalid):
        reader.read(offset, length)

    assert refusal.value.details == {"size": len(FILM)}


def test_an_empty_range_is_nothing() -> None:
    """The end of the film is a place too."""
    reader = reader_of()

    assert reader.read(len(FILM), 0) == b""
    assert list(reader.iter_range(5, 0)) == []


def test_each_piece_is_one_request() -> None:
    """A remote store answers requests, not reads: each one costs a millisecond."""
    source = RecordingSource(STORED)
    reader = ContainerReader(source, KEY, CONTEXT)
    assert len(source.requests) == 2, "header and last chunk"
    source.requests.clear()

    for _ in reader.iter_range(CHUNK - 1, 30 * CHUNK, batch=16 * CHUNK):
        pass

    assert source.requests == [
        (HEADER, 16 * STORED_CHUNK),
        (HEADER + 16 * STORED_CHUNK, 15 * STORED_CHUNK),
    ]


def test_a_long_range_in_one_piece_takes_a_room_of_its_own() -> None:
    """A remote store is asked for more at once than a local file; what is spare stays small."""
    film = film_of(BATCH_BYTES + 5 * CHUNK)
    source = RecordingSource(sealed_by_library(film))
    reader = ContainerReader(source, KEY, CONTEXT, batch=2 * BATCH_BYTES)
    source.requests.clear()

    assert [reader.read(0, len(film)) for _ in range(2)] == [film, film]
    assert len(source.requests) == 2


def test_with_header_and_length_from_the_database_a_seek_is_one_request() -> None:
    """That is why the row keeps both."""
    source = RecordingSource(STORED)
    reader = ContainerReader(
        source, KEY, CONTEXT, header=STORED[:HEADER], known_size=len(FILM), batch=2**20
    )

    assert reader.read(3 * CHUNK + 5, 20 * CHUNK) == FILM[3 * CHUNK + 5 :][: 20 * CHUNK]

    assert source.requests == [(HEADER + 3 * STORED_CHUNK, 21 * STORED_CHUNK)]
    assert reader.chunks_decrypted == 21


def test_a_source_may_answer_with_less_than_asked() -> None:
    """Sockets do; the rest is asked for again."""
    reader = ContainerReader(RecordingSource(STORED, longest_answer=1000), KEY, CONTEXT)

    assert reader.read(100, 3 * CHUNK) == FILM[100 : 100 + 3 * CHUNK]


def test_two_readers_can_take_turns() -> None:
    """Memory is lent between readers: one must never show another's film."""
    other_film = film_of(len(FILM) + 1)[: len(FILM)]
    mine, other = reader_of(), reader_of(sealed_by_library(other_film))

    pairs = zip(
        mine.iter_range(1, 20 * CHUNK, CHUNK), other.iter_range(1, 20 * CHUNK, CHUNK), strict=True
    )
    seen, seen_other = (b"".join(pieces) for pieces in zip(*pairs, strict=True))

    assert seen == FILM[1 : 20 * CHUNK + 1]
    assert seen_other == other_film[1 : 20 * CHUNK + 1]


def test_a_file_is_read_without_moving_its_position(tmp_path: Path) -> None:
    """Two requests may share a descriptor."""
    path = tmp_path / "object"
    path.write_bytes(STORED)
    with path.open("rb") as file:
        reader = ContainerReader(FileSource(file.fileno()), KEY, CONTEXT)

        assert reader.read(CHUNK, 100) == FILM[CHUNK : CHUNK + 100]
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 0


def test_reading_a_long_film_takes_little_memory() -> None:
    """A small server plays films of any length."""
    source = BytesSource(sealed_by_library(bytes(48 * 1024 * 1024)))
    tracemalloc.start()
    try:
        for _ in ContainerReader(source, KEY, CONTEXT).iter_range(0, 48 * 1024 * 1024):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * 1024 * 1024


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]),
            st.integers(-3 * CHUNK, 42 * CHUNK),
            st.integers(0, 5 * CHUNK),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_as_a_file_it_behaves_like_the_film(
    moves: list[tuple[int, int, int]], buffered: bool
) -> None:
    """Media libraries seek back and forth and must not notice the encryption."""
    reader = reader_of()
    file = open_plaintext(reader) if buffered else ContainerFile(reader)
    model = io.BytesIO(FILM)

    for whence, offset, length in moves:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: model.tell(), io.SEEK_END: len(FILM)}[whence]
        if origin + offset < 0:
            continue
        assert file.seek(offset, whence) == model.seek(offset, whence)
        assert file.read(length) == model.read(length)
        assert file.tell() == model.tell()


def test_as_a_file_it_can_be_read_and_moved_but_not_written() -> None:
    """What a caller of file-likes asks before it begins."""
    file = ContainerFile(reader_of())

    assert file.readable()
    assert file.seekable()
    assert not file.writable()
    with pytest.raises(ValueError, match="place"):
        file.seek(-1)
    with pytest.raises(ValueError, match="place"):
        file.seek(0, 9)
