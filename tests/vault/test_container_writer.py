"""A film is stored whole or not at all, and no part of it is encrypted twice."""

import errno
import hashlib
import io
import threading
import tracemalloc

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent_service.errors import ContainerCorrupt
from consent_service.vault.container import (
    BytesSource,
    ContainerReader,
    EncryptingWriter,
    decrypt_stream,
    encrypt_stream,
    stored_size_of,
)
from consent_service.vault.container_keys import derive_chunk_keys
from consent_service.vault.container_writer import _decrypt_piece
from tests.support.containers import (
    CHUNK,
    CONTEXT,
    HEADER,
    KEY,
    CountingSink,
    EndlessFilm,
    SinkThatFails,
    SinkThatFills,
    chunks_of,
    film_of,
    opened_by_library,
    sealed_by_library,
)

MEBIBYTE = 1024 * 1024
FILM = film_of(6 * MEBIBYTE + 12345)
DISK_FULL = OSError(errno.ENOSPC, "no room")


def is_refused(stored: bytes) -> bool:
    """Tell whether nobody can take `stored` for a whole film."""
    try:
        ContainerReader(BytesSource(stored), KEY, CONTEXT)
    except ContainerCorrupt:
        return True
    return False


@pytest.mark.parametrize(
    "room", [0, 1, HEADER, MEBIBYTE, 3 * MEBIBYTE, stored_size_of(len(FILM)) - 1]
)
@pytest.mark.parametrize("piece", [1000, 300_000, len(FILM)])
def test_a_full_disk_is_told_to_the_writer_and_nothing_is_finished(room: int, piece: int) -> None:
    """The second thread meets the error, but the person who uploads must hear of it."""
    sink = SinkThatFills(room, DISK_FULL)

    with (
        pytest.raises(OSError, match="no room") as refusal,
        EncryptingWriter(sink, KEY, CONTEXT) as writer,
    ):
        for start in range(0, len(FILM), piece):
            writer.write(FILM[start : start + piece])

    assert refusal.value is DISK_FULL
    assert is_refused(bytes(sink.taken))
    with pytest.raises(ValueError, match="digest"):
        _ = writer.plain_sha256


def test_after_a_failure_nothing_more_is_written() -> None:
    """A disk that recovers half-way would otherwise get a film with a hole, end included."""
    sink = SinkThatFails(at_write=2)

    with pytest.raises(OSError, match="no room"):
        encrypt_stream(io.BytesIO(FILM), sink, KEY, CONTEXT)

    assert len(sink.taken) == stored_size_of(MEBIBYTE) - 16


def test_after_a_full_disk_closing_again_does_not_look_like_success() -> None:
    """A second `close` that says nothing would be taken for a stored film."""
    writer = EncryptingWriter(SinkThatFills(10, DISK_FULL), KEY, CONTEXT)
    with pytest.raises(OSError, match="no room"):
        writer.close()

    with pytest.raises(ValueError, match="given up"):
        writer.close()
    with pytest.raises(ValueError, match="given up"):
        writer.write(b"more")


@pytest.mark.parametrize("size", [0, 5, CHUNK, 4 * MEBIBYTE])
def test_leaving_by_an_exception_never_finishes_the_film(size: int) -> None:
    """A broken upload must not become a shorter film."""
    stored = io.BytesIO()

    with pytest.raises(ConnectionError), EncryptingWriter(stored, KEY, CONTEXT) as writer:
        writer.write(FILM[:size])
        raise ConnectionError("the phone left the network")

    assert is_refused(stored.getvalue())
    with pytest.raises(ValueError, match="given up"):
        writer.close()


def test_a_source_that_breaks_finishes_nothing() -> None:
    """The same for a whole-stream copy."""
    stored = io.BytesIO()

    def break_at_three(left: int) -> None:
        if left < 3 * MEBIBYTE:
            raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        encrypt_stream(EndlessFilm(6 * MEBIBYTE, break_at_three), stored, KEY, CONTEXT)

    assert is_refused(stored.getvalue())


@pytest.mark.parametrize("at_most", [1000, 1049599, MEBIBYTE])
def test_a_sink_may_take_less_than_it_is_given(at_most: int) -> None:
    """Raw files do when a disk is nearly full or a buffer is large; nothing may be lost."""
    sink = SinkThatFills(len(FILM) * 2, DISK_FULL, at_most=at_most)

    encrypt_stream(io.BytesIO(FILM), sink, KEY, CONTEXT)

    assert opened_by_library(bytes(sink.taken)) == FILM


def test_a_sink_that_takes_nothing_is_an_error() -> None:
    """Trying for ever would hang the upload."""

    class Stuck:
        def write(self, buffer: memoryview, /) -> int:
            return 0

    with pytest.raises(OSError, match="no more"):
        encrypt_stream(io.BytesIO(b"film"), Stuck(), KEY, CONTEXT)


def test_a_full_disk_while_decrypting_is_told_to_the_caller() -> None:
    """An export that stops half-way must say so."""
    stored = io.BytesIO(sealed_by_library(FILM))

    with pytest.raises(OSError, match="no room"):
        decrypt_stream(stored, SinkThatFills(MEBIBYTE, DISK_FULL), KEY, CONTEXT)


def test_sizes_and_header_are_known_as_the_film_grows() -> None:
    """The row in the database is filled from these."""
    stored = io.BytesIO()
    writer = EncryptingWriter(stored, KEY, CONTEXT)
    assert (writer.plain_size, writer.stored_size, writer.writable()) == (0, HEADER, True)

    writer.write(FILM)
    assert writer.plain_size == len(FILM)
    writer.close()
    writer.close()

    assert writer.stored_size == len(stored.getvalue()) == stored_size_of(len(FILM))
    assert writer.header == stored.getvalue()[:HEADER]
    assert writer.plain_sha256 == hashlib.sha256(FILM).hexdigest()
    assert not writer.writable()


def test_hashing_can_be_left_out() -> None:
    """It costs more than the encryption, and copies of a known film need none."""
    stored = io.BytesIO()

    written = encrypt_stream(io.BytesIO(FILM), stored, KEY, CONTEXT, hashed=False)

    assert written.plain_sha256 is None
    assert opened_by_library(stored.getvalue()) == FILM


def test_a_small_object_starts_no_thread_and_a_large_one_ends_its_own() -> None:
    """Stills come by the thousand; a thread left behind for each upload would stop the service."""
    small, large = CountingSink(), CountingSink()

    encrypt_stream(io.BytesIO(b"still"), small, KEY, CONTEXT)
    encrypt_stream(io.BytesIO(FILM), large, KEY, CONTEXT)

    assert small.threads == {threading.current_thread()}
    assert threading.current_thread() not in large.threads
    assert not any(thread.is_alive() for thread in large.threads)


def test_a_sink_that_never_waits_is_called_where_it_is_filled() -> None:
    """To hand a buffer over would take longer; the message is the same."""
    sink = CountingSink(waits=False)

    encrypt_stream(io.BytesIO(FILM), sink, KEY, CONTEXT)

    assert sink.threads == {threading.current_thread()}
    assert sink.size == stored_size_of(len(FILM))


def test_nothing_follows_a_failure_of_a_sink_that_never_waits() -> None:
    """What follows a gap would be taken for its continuation."""
    sink = SinkThatFails(at_write=2, waits=False)
    writer = EncryptingWriter(sink, KEY, CONTEXT)
    with pytest.raises(OSError, match="no room"):
        writer.write(FILM)
    taken = bytes(sink.taken)

    for again in (lambda: writer.write(FILM), writer.close):
        with pytest.raises(OSError, match="no room"):
            again()
    assert bytes(sink.taken) == taken


def test_a_writer_that_is_dropped_ends_its_thread() -> None:
    """An upload that is cancelled leaves nothing running."""
    sink = CountingSink()
    writer = EncryptingWriter(sink, KEY, CONTEXT)
    writer.write(FILM)
    (thread,) = [one for one in threading.enumerate() if one.name == "container-writer"]

    del writer

    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_buffer_that_met_a_wrong_chunk_is_overwritten() -> None:
    """The library leaves unauthenticated bytes behind; the buffer is used again."""
    stored = bytearray(sealed_by_library(FILM[: 3 * CHUNK]))
    stored[HEADER + 5] ^= 1
    buffer = memoryview(bytearray(b"x" * (4 * CHUNK)))

    with pytest.raises(ContainerCorrupt):
        _decrypt_piece(Cobblestone256Decryptor(KEY, CONTEXT), memoryview(stored), buffer)

    assert not any(buffer)


def test_memory_does_not_grow_with_the_film() -> None:
    """A film of four gigabytes goes through a small server."""
    tracemalloc.start()
    try:
        encrypt_stream(EndlessFilm(96 * MEBIBYTE), CountingSink(), KEY, CONTEXT, hashed=False)
        encrypting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        stored = io.BytesIO(sealed_by_library(bytes(24 * MEBIBYTE)))
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        decrypt_stream(stored, CountingSink(), KEY, CONTEXT)
        decrypting = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert encrypting < 6 * MEBIBYTE
    assert decrypting < 6 * MEBIBYTE


def test_no_chunk_key_meets_a_nonce_twice() -> None:
    """One repeated nonce would give both films away, and the means to forge more.

    Everything that ever reached a sink counts: whole messages, one given up half-way, and one
    that met a full disk, all under one data key and one context, some of the same film.
    """
    emitted: list[bytes] = []
    for film in (FILM[:100_000], FILM[:100_000], b"", FILM):
        stored = io.BytesIO()
        encrypt_stream(io.BytesIO(film), stored, KEY, CONTEXT)
        emitted.append(stored.getvalue())
    given_up = io.BytesIO()
    with pytest.raises(ConnectionError), EncryptingWriter(given_up, KEY, CONTEXT) as writer:
        writer.write(FILM)
        raise ConnectionError
    full = SinkThatFills(2 * MEBIBYTE, DISK_FULL)
    with pytest.raises(OSError, match="no room"):
        encrypt_stream(io.BytesIO(FILM), full, KEY, CONTEXT)
    emitted += [given_up.getvalue(), bytes(full.taken)]

    used = []
    for message in emitted:
        keys = derive_chunk_keys(KEY, message[:24], CONTEXT)
        chunks = chunks_of(message)
        used += [(keys.key, keys.nonce(number)) for number in range(len(chunks))]
        for number, chunk in enumerate(chunks[:-1]):
            AESGCM(keys.key).decrypt(keys.nonce(number), chunk, None)

    assert len(used) > 500
    assert len(set(used)) == len(used)
