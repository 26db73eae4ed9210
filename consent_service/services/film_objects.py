"""Films as encrypted objects: written as they come, read in parts, never in the clear on disk.

Names of objects: `<asset>.0` is an upload as received, `<asset>.<generation>` what is served,
`<asset>.json` the sidecar. Rules kept here:
  * the upload's own data key lives in the memory of the request that receives it, nowhere else;
  * what cannot be finished never appears in the store;
  * before each piece that is written or read, whoever works on it may say that it must end.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from consent_service.domain.assets import AssetKind
from consent_service.errors import TooLarge
from consent_service.services import keys
from consent_service.services.context import Context
from consent_service.vault.container import (
    ContainerReader,
    EncryptingWriter,
    film_context,
    new_data_key,
    part_context,
    stored_size_of,
)

PIECE_BYTES = 256 * 1024
UPLOAD_GENERATION = 0
FIRST_GENERATION = 1


class Readable(Protocol):
    """A raw stream of bytes, such as a request's body."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...


Upload = Readable | Iterable[bytes]
"""A film as it arrives, in order, once."""


@dataclass(frozen=True)
class StoredObject:
    """What to remember of an object that was written; sizes in bytes, digest of the plaintext."""

    name: str
    header: bytes
    stored_size: int
    plain_size: int
    sha256: str


@dataclass(frozen=True)
class ObjectPlace:
    """Which object of the store this is, and the context that binds it there."""

    name: str
    context: bytes


def object_name(asset: str, generation: int) -> str:
    """Return the name of an asset's object."""
    return f"{asset}.{generation}"


def is_of_film(name: str) -> bool:
    """Tell whether an object is a whole film or its sidecar, and not what came of an upload."""
    return name.split(".")[1:2] != [str(UPLOAD_GENERATION)]


def film_place(asset: str, kind: AssetKind, generation: int) -> ObjectPlace:
    """Return the place of an asset as it is served."""
    context = film_context(keys.OBJECT_KINDS[kind], asset, generation)
    return ObjectPlace(object_name(asset, generation), context)


def upload_place(asset: str) -> ObjectPlace:
    """Return the place of an upload as received."""
    return ObjectPlace(
        object_name(asset, UPLOAD_GENERATION), part_context(asset, UPLOAD_GENERATION, 0)
    )


class Film:
    """A stored film that the film worker may read at any place.

    `on_read` is called before each read; what it raises ends the reading.
    """

    def __init__(self, reader: ContainerReader, on_read: Callable[[], None]) -> None:
        self._reader = reader
        self._on_read = on_read

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._reader.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        self._on_read()
        return self._reader.read(offset, length)


@contextmanager
def writing(
    ctx: Context, place: ObjectPlace, key: bytes, *, expected_size: int | None = None
) -> Iterator[EncryptingWriter]:
    """Encrypt what is written in the block into a new object; `expected_size` is of plaintext."""
    reserved = None if expected_size is None else stored_size_of(expected_size)
    with (
        ctx.blobs.put(place.name, expected_size=reserved) as sink,
        EncryptingWriter(sink, key, place.context) as writer,
    ):
        yield writer


def output_to(writer: EncryptingWriter) -> Callable[[memoryview], None]:
    """Return what the film worker hands its output to, in order."""

    def take(block: memoryview) -> None:
        writer.write(block)

    return take


def written(place: ObjectPlace, writer: EncryptingWriter) -> StoredObject:
    """Return what to remember of an object whose block ended well."""
    return StoredObject(
        place.name, writer.header, writer.stored_size, writer.plain_size, writer.plain_sha256
    )


@contextmanager
def reading(
    ctx: Context, place: ObjectPlace, key: bytes, on_read: Callable[[], None]
) -> Iterator[Film]:
    """Open an object as a film for the worker; what `on_read` raises ends the reading."""
    with ctx.blobs.open(place.name) as source:
        yield Film(ContainerReader(source, key, place.context), on_read)


def take_in(
    ctx: Context, asset: str, upload: Upload, on_piece: Callable[[], None]
) -> tuple[StoredObject, bytes]:
    """Encrypt an upload as it arrives; return its object and its key, which nothing else holds.

    Raises TooLarge once it is longer than the service takes, and whatever the stream raises, or
    `on_piece` before a piece is written.
    """
    place, key = upload_place(asset), new_data_key()
    with writing(ctx, place, key) as writer:
        for piece in pieces_of(upload):
            on_piece()
            refuse_oversize(ctx, writer.plain_size + len(piece))
            writer.write(piece)
    return written(place, writer), key


def pieces_of(upload: Upload) -> Iterator[bytes]:
    """Yield an upload piece by piece, whether it is read or iterated."""
    read = getattr(upload, "read", None)
    if read is None:
        yield from upload  # type: ignore[misc]
        return
    while piece := read(PIECE_BYTES):
        yield piece


def refuse_oversize(ctx: Context, size: int | None) -> None:
    """Raise TooLarge when `size`, declared or counted in bytes, is more than the service takes."""
    if size is not None and size > ctx.settings.max_upload:
        raise TooLarge(
            "This film is larger than this service takes. Film a shorter piece.",
            max_bytes=ctx.settings.max_upload,
        )


def clear(ctx: Context, asset: str) -> None:
    """Delete whatever the store holds under an asset's name, unfinished objects included."""
    for name in list(ctx.blobs.list(asset)):
        ctx.blobs.delete(name)
    for unfinished in list(ctx.blobs.list_unfinished()):
        if unfinished.name.startswith(asset):
            ctx.blobs.discard_unfinished(unfinished.name)
