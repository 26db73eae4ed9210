"""A backup as it lies in a folder: written whole or not at all, read back against its digests.

    consent-backup-20261102T093000Z-<id>/
        manifest.json               what there is, signed
        database.0001.age ...       the database, in pieces of an age file each
        policies.0001.age           the policy files, a tar archive
        film/3f/3f0a....1           objects of the store as they are: ciphertext and sidecars

Rules kept here:
- all is written into a folder with another name, synced, and renamed last; what a killed writer
  left is cleared away by the next;
- each piece is encrypted whole in memory, because the stream of the library loses a write error in
  its last buffer;
- nothing is taken for good before its size and digest are the manifest's.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pyrage

from consent_service.errors import IntegrityFault, NotFound, Unavailable
from consent_service.vault import durable
from consent_service.vault.backup_manifest import (
    BackedUpObject,
    BackupFile,
    Manifest,
    read_manifest,
)
from consent_service.vault.blobs import BlobSource, require_name
from consent_service.vault.side_by_side import side_by_side
from consent_service.vault.signing_keys import PublicKey

PREFIX = "consent-backup-"
MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished"
_BUFFER_BYTES = 4 * 2**20


def folder_name(identifier: str, made_at: datetime) -> str:
    """Return what the folder of a backup is called."""
    return f"{PREFIX}{made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{identifier}"


class BackupWriter:
    """Takes the files of one new backup."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def encrypt(
        self, stem: str, pieces: Iterable[bytes], reader: pyrage.x25519.Recipient
    ) -> tuple[BackupFile, ...]:
        """Write each piece as an age file of its own; returns them in order."""
        return tuple(
            self._put(f"{stem}.{number:04}.age", pyrage.encrypt(piece, [reader]))
            for number, piece in enumerate(pieces, start=1)
        )

    def copy(self, name: str, source: BlobSource, key: str) -> BackedUpObject:
        """Copy an object as it is."""
        path = object_path(self._folder, name)
        with durable.system_faults("writing the backup"):
            durable.make_folder(path.parent)
            try:
                with _new_file(path) as out:
                    size, sha256 = _drain(source, out)
            except BaseException:
                path.unlink(missing_ok=True)  # so that the same object can be copied again
                raise
        return BackedUpObject(name, size, sha256, key)

    def finish(self, manifest: bytes) -> None:
        """Write the manifest: last, so that a folder with one is whole."""
        self._put(MANIFEST, manifest)

    def _put(self, name: str, content: bytes) -> BackupFile:
        with durable.system_faults("writing the backup"), _new_file(self._folder / name) as out:
            durable.write_all(out.fileno(), content)
        return BackupFile(name, len(content), hashlib.sha256(content).hexdigest())


@contextlib.contextmanager
def writing(parent: Path, name: str) -> Iterator[BackupWriter]:
    """Write a backup into `parent`; it appears under `name` when the block ends well.

    Raises NotFound when `parent` is no folder, DiskFull and Unavailable; then nothing is left.
    """
    _require_folder(parent)
    with durable.system_faults("writing the backup"):
        _clear_unfinished(parent)
        folder = parent / f".{name}{_UNFINISHED}"
        folder.mkdir(mode=durable.FOLDER_MODE)
        try:
            with durable.locked_folder(folder):
                yield BackupWriter(folder)
                _sync_folders(folder)
                folder.rename(parent / name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        durable.sync_folder(parent)


def open_manifest(folder: Path, keys: Sequence[PublicKey]) -> tuple[Manifest, bytes]:
    """Return a backup's manifest, checked, and its bytes; raises NotFound, IntegrityFault."""
    try:
        raw = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise NotFound(
            "This folder holds no backup. Name one that `backups create` made."
        ) from fault
    except OSError as fault:
        raise _unreadable() from fault
    try:
        return read_manifest(raw, keys), raw
    except IntegrityFault as fault:
        sentence = f"File {MANIFEST} of the backup is not what was signed. {fault.message}"
        raise IntegrityFault(sentence, code=fault.code, **fault.details) from fault


def backups_in(parent: Path) -> list[Path]:
    """Return the folders below `parent` that look like backups."""
    try:
        return sorted(p for p in parent.iterdir() if p.name.startswith(PREFIX) and p.is_dir())
    except OSError:
        return []  # not mounted now: what is registered there is reported as out of reach


def faulty_files(folder: Path, manifest: Manifest) -> list[str]:
    """Read every file; return the names of those missing or not what the manifest says."""
    found = [one.name for one in (*manifest.database, *manifest.policies) if not _fits(folder, one)]

    def fault_of(one: BackedUpObject) -> str | None:
        return None if _fits_at(object_path(folder, one.name), one) else one.name

    return found + sorted(filter(None, side_by_side(fault_of, manifest.objects)))


def decrypted(
    folder: Path, files: Sequence[BackupFile], identity: pyrage.x25519.Identity
) -> Iterator[bytes]:
    """Yield the plaintext of each piece, each checked first.

    Raises IntegrityFault `backup_broken`, or `wrong_identity` when it was made for another.
    """
    for one in files:
        try:
            content = (folder / one.name).read_bytes()
        except OSError as fault:
            raise _unreadable() from fault
        if (len(content), hashlib.sha256(content).hexdigest()) != (one.size, one.sha256):
            raise broken_file(one.name)
        try:
            yield pyrage.decrypt(content, [identity])
        except pyrage.DecryptError as fault:
            raise IntegrityFault(
                "The identity does not open this backup. Use the one that belongs to the recipient"
                " it was made for.",
                code="wrong_identity",
            ) from fault


@contextlib.contextmanager
def open_object(folder: Path, one: BackedUpObject) -> Iterator[BinaryIO]:
    """Open a backed-up object for reading; raises Unavailable."""
    try:
        stream = object_path(folder, one.name).open("rb")
    except OSError as fault:
        raise _unreadable() from fault
    with stream:
        yield stream


def object_path(folder: Path, name: str) -> Path:
    """Return where an object lies in a backup."""
    return folder / "film" / require_name(name)[:2] / name


def remove(folder: Path) -> None:
    """Delete a backup, its manifest last: what is left of a killed deletion is deleted again."""
    with durable.system_faults("deleting the backup"):
        for one in sorted(folder.iterdir()):
            if one.is_dir():
                shutil.rmtree(one)
            elif one.name != MANIFEST:
                one.unlink()
        (folder / MANIFEST).unlink()
        folder.rmdir()
        durable.sync_folder(folder.parent)


def broken_file(name: str) -> IntegrityFault:
    """Return the refusal of a file that is not what the manifest says."""
    return IntegrityFault(
        f"File {name} of the backup is missing or not what was written. Use another backup.",
        code="backup_broken",
        file=name,
    )


def _require_folder(parent: Path) -> None:
    if not parent.is_dir():
        raise NotFound(
            "There is no such folder to write backups to. Make it, or mount its disk, first."
        )


def _clear_unfinished(parent: Path) -> None:
    """Delete what killed writers left; a living one holds its folder's lock."""
    for folder in parent.glob(f".{PREFIX}*{_UNFINISHED}"):
        with durable.open_folder(folder) as fd, contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


def _sync_folders(folder: Path) -> None:
    for below in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        durable.sync_folder(below)
    durable.sync_folder(folder)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, durable.FILE_MODE), "wb", buffering=0) as out:
        yield out
        os.fsync(out.fileno())


def _drain(source: BlobSource, out: BinaryIO) -> tuple[int, str]:
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    digest, size = hashlib.sha256(), 0
    while count := source.read_into(size, buffer):
        durable.write_all(out.fileno(), buffer[:count])
        digest.update(buffer[:count])
        size += count
    return size, digest.hexdigest()


def _fits(folder: Path, one: BackupFile) -> bool:
    return _fits_at(folder / one.name, one)


def _fits_at(path: Path, one: BackupFile | BackedUpObject) -> bool:
    try:
        if path.stat().st_size != one.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == one.sha256
    except FileNotFoundError:
        return False
    except OSError as fault:
        raise _unreadable() from fault


def _unreadable() -> Unavailable:
    return Unavailable("The backup cannot be read. Check its disk and its permissions.")
