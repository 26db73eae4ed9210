"""Anyone with the data key and the library opens our films, and we open theirs."""

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.vault.container import (
    BytesSource,
    ContainerReader,
    EncryptingWriter,
    decrypt_stream,
    encrypt_stream,
)
from tests.support.containers import (
    CHUNK,
    CONTEXT,
    EDGES,
    KEY,
    film_of,
    opened_by_library,
    sealed_by_library,
)

MEBIBYTE = 1024 * 1024
SIZES = (*EDGES, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE + CHUNK - 1, 5 * MEBIBYTE)


@pytest.mark.parametrize("size", SIZES)
def test_the_library_opens_what_we_write(size: int) -> None:
    """A film must outlive this service."""
    film, stored = film_of(size), io.BytesIO()

    written = encrypt_stream(io.BytesIO(film), stored, KEY, CONTEXT)

    assert opened_by_library(stored.getvalue()) == film
    assert written.plain_size == size
    assert written.stored_size == len(stored.getvalue())
    assert written.plain_sha256 == hashlib.sha256(film).hexdigest()
    assert written.header == stored.getvalue()[:56]


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_library_writes(size: int) -> None:
    """Both of our readers must agree with the reference on every edge."""
    film, plain = film_of(size), io.BytesIO()
    stored = sealed_by_library(film)

    reader = ContainerReader(BytesSource(stored), KEY, CONTEXT)
    length = decrypt_stream(io.BytesIO(stored), plain, KEY, CONTEXT)

    assert reader.size == length == size
    assert reader.read(0, size) == film
    assert plain.getvalue() == film


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * CHUNK), max_size=12))
def test_the_size_of_each_write_does_not_matter(sizes: list[int]) -> None:
    """Cameras, browsers and muxers write in pieces of any size."""
    film, stored = film_of(sum(sizes)), io.BytesIO()

    with EncryptingWriter(stored, KEY, CONTEXT) as writer:
        start = 0
        for size in sizes:
            assert writer.write(film[start : start + size]) == size
            start += size

    assert opened_by_library(stored.getvalue()) == film
    assert writer.plain_sha256 == hashlib.sha256(film).hexdigest()


@pytest.mark.parametrize("piece", [1, 55, 57, CHUNK, CHUNK + 15, CHUNK + 17, 10**6])
def test_the_size_of_each_read_does_not_matter(piece: int) -> None:
    """A store hands the stream out in whatever pieces the network brings."""
    film, plain = film_of(4 * CHUNK + 5 if piece == 1 else 3 * MEBIBYTE), io.BytesIO()
    stored = io.BytesIO(sealed_by_library(film))

    class Pieces:
        def readinto(self, buffer: memoryview, /) -> int:
            return stored.readinto(buffer[:piece])

    decrypt_stream(Pieces(), plain, KEY, CONTEXT)

    assert plain.getvalue() == film


def test_any_buffer_of_bytes_can_be_written() -> None:
    """Media libraries hand out arrays and views, not only bytes."""
    stored = io.BytesIO()

    with EncryptingWriter(stored, KEY, CONTEXT) as writer:
        writer.write(bytearray(b"one "))
        writer.write(memoryview(b"..two..")[2:5])
        writer.write(memoryview(b"\x01\x00\x02\x00").cast("H"))

    assert opened_by_library(stored.getvalue()) == b"one two\x01\x00\x02\x00"
    assert writer.plain_size == 11
