"""The parts of a film that comes in piece by piece: encrypted objects.

Names of objects: `<asset>.0.<offset>.<mark>`. Rules kept here:
  * each part is a message of its own, with its own salt, bound to its offset;
  * a long body becomes several parts, each durable before more is read: a crash costs one at most;
  * a body that breaks off keeps what came of it; what is no part of the film leaves no object;
  * a body is read, and a film of parts too, no further than whoever works on it lets it.
"""

import hashlib
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset, UploadPart
from consent_service.domain.assets import ARRIVING
from consent_service.domain.tus import CHECKSUMS, Checksum
from consent_service.errors import ChecksumMismatch, TooLarge
from consent_service.media import MAX_BLOCK
from consent_service.services import keys
from consent_service.services.context import Context
from consent_service.services.film_objects import UPLOAD_GENERATION, Upload, pieces_of
from consent_service.vault.blobs import BlobSource
from consent_service.vault.container import (
    ContainerReader,
    EncryptingWriter,
    part_context,
)

PART_BYTES = 64 * 1024 * 1024
SLOW_PART_BYTES = 16 * 1024 * 1024
SLOW = timedelta(seconds=5)
"""A part that takes so long ends once it has so many bytes: to send them again takes as long."""


@dataclass(frozen=True)
class Part:
    """An object that holds `size` bytes of the film from `begins` on."""

    begins: int
    size: int
    name: str
    header: bytes

    @property
    def end(self) -> int:
        """Where the next part begins."""
        return self.begins + self.size


class Incoming:
    """A body as it comes, cut into parts; `broken` is why it ended early, if it did.

    Never more than `most` bytes: raises TooLarge from within the part in which they come. To make
    a part durable costs the same whatever its size, so a fast sender's parts are large; a slow
    one's are small enough to be sent again. `on_piece` is called for each piece before it is given
    out; what it raises ends the reading.
    """

    def __init__(
        self,
        body: Upload,
        most: int,
        checksum: Checksum | None,
        now: Callable[[], datetime],
        on_piece: Callable[[], None],
    ) -> None:
        self._pieces = pieces_of(body)
        self._now = now
        self._on_piece = on_piece
        self._most = most
        self._checksum = checksum
        self._sum = None if checksum is None else CHECKSUMS[checksum.algorithm]()
        self._next = b""
        self.taken = 0
        self.broken: Exception | None = None

    @property
    def is_summed(self) -> bool:
        """Whether the sender said what all of it sums up to."""
        return self._checksum is not None

    def more(self) -> bool:
        """Wait for the next bytes; False when no more come."""
        while not self._next and self._read():
            pass
        return bool(self._next)

    def part(self) -> Iterator[bytes]:
        """Yield the bytes of the next part."""
        size, began = 0, self._now()
        while size < PART_BYTES and self.more():
            if size >= SLOW_PART_BYTES and self._now() - began >= SLOW:
                return
            piece, self._next = self._next, b""
            size += len(piece)
            yield piece

    def require_sum(self) -> None:
        """Raise ChecksumMismatch unless all that came sums up to what was said."""
        if self._checksum is None or self._sum is None:
            return
        if self._sum.digest() != self._checksum.digest:
            raise ChecksumMismatch(
                "What arrived is not what was sent. Nothing of it was kept: send it again."
            )

    def _read(self) -> bool:
        try:
            piece = next(self._pieces, None)
        except Exception as fault:  # noqa: BLE001  (each server has its own for a sender gone)
            self.broken = fault
            return False
        if piece is None:
            return False
        self._on_piece()
        self.taken += len(piece)
        if self.taken > self._most:
            raise TooLarge("This is more than the film was said to have.", max_bytes=self._most)
        if self._sum is not None:
            self._sum.update(piece)
        self._next = piece
        return True


class PartsFilm:
    """A film in parts, read anywhere as if it were one; one part is open at a time.

    `on_read` is called before each read; what it raises ends the reading.
    """

    def __init__(
        self,
        ctx: Context,
        key: bytes,
        asset: str,
        parts: Sequence[Part],
        on_read: Callable[[], None],
    ) -> None:
        self._ctx = ctx
        self._key = key
        self._asset = asset
        self._parts = parts
        self._begins = [part.begins for part in parts]
        self._on_read = on_read
        self._open: tuple[int, BlobSource, ContainerReader] | None = None
        self.size = parts[-1].end if parts else 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        self._on_read()
        found = b""
        while len(found) < length:
            at = offset + len(found)
            number = bisect_right(self._begins, at) - 1
            part = self._parts[number]
            count = min(length - len(found), part.end - at)
            found += self._reader(number).read(at - part.begins, count)
        return found

    def sha256(self) -> str:
        """Return the digest of the whole film, hexadecimal."""
        digest = hashlib.sha256()
        for start in range(0, self.size, MAX_BLOCK):
            digest.update(self.read_at(start, min(MAX_BLOCK, self.size - start)))
        return digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _reader(self, number: int) -> ContainerReader:
        if self._open is None or self._open[0] != number:
            self._close()
            part = self._parts[number]
            source = self._ctx.blobs.open(part.name)
            context = part_context(self._asset, UPLOAD_GENERATION, part.begins)
            self._open = (
                number,
                source,
                ContainerReader(
                    source, self._key, context, header=part.header, known_size=part.size
                ),
            )
        return self._open[2]

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].__exit__(None, None, None)
        self._open = None


def write(ctx: Context, key: bytes, asset: str, begins: int, pieces: Iterator[bytes]) -> Part:
    """Encrypt the bytes from `begins` on into an object of their own, durable at the end."""
    name = f"{_prefix(asset)}{begins:015d}.{secrets.token_hex(4)}"
    context = part_context(asset, UPLOAD_GENERATION, begins)
    with (
        ctx.blobs.put(name) as sink,
        EncryptingWriter(sink, key, context, hashed=False) as writer,
    ):
        for piece in pieces:
            writer.write(piece)
    return Part(begins, writer.plain_size, name, writer.header)


def parts_of(session: Session, asset: str) -> list[Part]:
    """Return the parts of an upload in order."""
    rows = session.scalars(
        select(UploadPart).where(UploadPart.asset_id == asset).order_by(UploadPart.begins)
    )
    return [Part(row.begins, row.size, row.blob, row.header) for row in rows]


def erase(ctx: Context, asset: str) -> None:
    """Delete what a film that is stored now was made of, and what was begun and never counted."""
    with ctx.read() as session:
        row = session.get_one(Asset, asset)
        if row.state in ARRIVING:
            return
        kept = (row.blob, keys.sidecar_name(asset))
    for name in list(ctx.blobs.list(f"{asset}.")):
        if name not in kept:
            ctx.blobs.delete(name)
    with ctx.begin() as uow:
        uow.session.execute(delete(UploadPart).where(UploadPart.asset_id == asset))


def drop(ctx: Context, parts: Sequence[Part]) -> None:
    """Delete objects that did not become parts; one that did after all stays."""
    with ctx.read() as session:
        kept = set(
            session.scalars(
                select(UploadPart.blob).where(UploadPart.blob.in_([p.name for p in parts]))
            )
        )
    for part in parts:
        if part.name not in kept:
            ctx.blobs.delete(part.name)


def _prefix(asset: str) -> str:
    return f"{asset}.{UPLOAD_GENERATION}."
