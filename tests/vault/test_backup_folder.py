"""A backup's folder and manifest: whole or not there, and trusted only as signed."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
import rfc8785

from consent_service.errors import DiskFull, IntegrityFault, InvalidInput, NotFound, Unavailable
from consent_service.vault import backup_folder, durable
from consent_service.vault.age import read_identity
from consent_service.vault.backup_manifest import (
    FORMAT,
    BackedUpObject,
    BackupFile,
    Manifest,
    read_manifest,
    write_manifest,
)
from consent_service.vault.blobs.memory import MemoryStore
from consent_service.vault.signing import SigningUse
from tests.vault.journals import new_signer

AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
NAME = backup_folder.folder_name("0" * 32, AT)


def _manifest(**more: Any) -> Manifest:
    members: dict[str, Any] = {
        "id": "0" * 32,
        "made_at": AT,
        "expires_at": AT + timedelta(days=60),
        "service": "1.0",
        "engine": "sqlite",
        "schema": "0004",
        "checkpoint": None,
        "journal_line": 7,
        "journal_hash": "a" * 64,
        "database": (BackupFile("database.0001.age", 3, "b" * 64),),
        "policies": (),
        "objects": (BackedUpObject("ab.1", 5, "c" * 64, "key"),),
        "absent": ("cd.1",),
    }
    return Manifest(**members | more)


def test_a_manifest_is_read_as_it_was_written() -> None:
    """Every figure in it decides what a restore does."""
    signer = new_signer(SigningUse.CERTIFICATES)

    raw = write_manifest(_manifest(), signer)

    assert read_manifest(raw, [signer.published(AT)]) == _manifest()
    assert rfc8785.dumps(json.loads(raw)) == raw


@pytest.mark.parametrize(
    "member", sorted(json.loads(write_manifest(_manifest(), new_signer(SigningUse.CERTIFICATES))))
)
def test_a_manifest_of_which_anything_was_changed_is_refused(member: str) -> None:
    """Whoever can write to the backup disk must not choose what is restored."""
    signer = new_signer(SigningUse.CERTIFICATES)
    members = json.loads(write_manifest(_manifest(), signer))
    changed = {**members, member: [1] if isinstance(members[member], list) else "other"}
    missing = {name: value for name, value in members.items() if name != member}

    for spoilt in (changed, missing):
        with pytest.raises(IntegrityFault):
            read_manifest(rfc8785.dumps(spoilt), [signer.published(AT)])


def test_a_manifest_by_another_key_or_for_another_use_is_refused() -> None:
    """A journal key that leaked must not make backups, nor a stranger's key."""
    known, journal = new_signer(SigningUse.CERTIFICATES), new_signer(SigningUse.JOURNAL)
    published = [known.published(AT), journal.published(AT)]

    for other in (new_signer(SigningUse.CERTIFICATES), journal):
        with pytest.raises(IntegrityFault):
            read_manifest(write_manifest(_manifest(), other), published)


@pytest.mark.parametrize("name", ["../keyring.sqlite3", "/etc/passwd", "database.1.age", ""])
def test_a_name_that_leads_elsewhere_is_refused_though_signed(name: str) -> None:
    """Not even a signed list may read or write outside the backup."""
    signer = new_signer(SigningUse.CERTIFICATES)
    piece = _manifest(database=(BackupFile(name, 3, "b" * 64),))
    stored = _manifest(objects=(BackedUpObject(name.upper() or ".", 3, "b" * 64, "key"),))

    for spoilt in (piece, stored):
        with pytest.raises(IntegrityFault):
            read_manifest(write_manifest(spoilt, signer), [signer.published(AT)])


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "no canonical JSON"),
        (b"\xff", "no canonical JSON"),
        (b"[" * 200_000, "no canonical JSON"),
        (b'{"id":NaN}', "no canonical JSON"),
        (b'{"id": "spaced"}', "no canonical JSON"),
        (b'["signature","key_id","format"]', "no canonical JSON"),
        (b'{"format":"x","key_id":"x"}', "not signed"),
        (b'{"format":"x","key_id":"x","signature":"="}', "no base64"),
        (b'{"format":"x","key_id":"x","signature":7}', "no base64"),
    ],
    ids=[
        "empty",
        "binary",
        "deep",
        "nan",
        "spaced",
        "list",
        "unsigned",
        "torn-signature",
        "number-signature",
    ],
)
def test_what_is_no_manifest_is_refused_and_says_why(raw: bytes, what: str) -> None:
    """A torn or foreign file must be told from a forged one, and never crash the restore."""
    with pytest.raises(IntegrityFault, match=what) as refused:
        read_manifest(raw, [])

    assert refused.value.code == "backup_broken"


def test_a_manifest_of_another_format_is_refused_though_signed() -> None:
    """What a later version means by the same members is not known here."""
    signer = new_signer(SigningUse.CERTIFICATES)
    members = json.loads(write_manifest(_manifest(), signer))
    del members["signature"]
    members["format"] = FORMAT.replace("v1", "v2")
    signature = base64.b64encode(signer.sign(rfc8785.dumps(members))).decode()

    with pytest.raises(IntegrityFault, match="another format"):
        read_manifest(rfc8785.dumps(members | {"signature": signature}), [signer.published(AT)])


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a backup would be taken for one, and fill the disk for the next."""
    owner = pyrage.x25519.Identity.generate()

    def full(_fd: int, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write_all", full)
    with pytest.raises(DiskFull), backup_folder.writing(tmp_path, NAME) as out:
        out.encrypt("database", [b"rows"], owner.to_public())

    assert not list(tmp_path.iterdir())


def test_what_was_written_is_read_back_and_removed(tmp_path: Path) -> None:
    """Pieces in their order, objects as they were, and nothing left at the end."""
    owner, store = pyrage.x25519.Identity.generate(), MemoryStore()
    with store.put("ab.1") as sink:
        sink.write(b"ciphertext")
    with backup_folder.writing(tmp_path, NAME) as out, store.open("ab.1") as source:
        pieces = out.encrypt("database", [b"first", b"second"], owner.to_public())
        copied = out.copy("ab.1", source, "key")
        out.finish(b"{}")
        assert not (tmp_path / NAME).exists()

    folder = tmp_path / NAME
    assert list(backup_folder.decrypted(folder, pieces, owner)) == [b"first", b"second"]
    with backup_folder.open_object(folder, copied) as stored:
        assert stored.read() == b"ciphertext"
    manifest = _manifest(database=pieces, objects=(copied,))
    assert backup_folder.faulty_files(folder, manifest) == []
    backup_folder.object_path(folder, "ab.1").write_bytes(b"ciphertex!")
    assert backup_folder.faulty_files(folder, manifest) == ["ab.1"]
    assert not [p for p in folder.rglob("*") if p.stat().st_mode & 0o077]
    backup_folder.remove(folder)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_backup_and_a_file_without_an_identity_are_said(tmp_path: Path) -> None:
    """A slip of the hand gets a sentence."""
    (tmp_path / "two.key").write_text(
        "\n".join(str(pyrage.x25519.Identity.generate()) for _ in range(2))
    )
    with pytest.raises(NotFound):
        backup_folder.open_manifest(tmp_path, [])
    with pytest.raises(InvalidInput):
        read_identity(tmp_path / "two.key")


def test_a_piece_that_is_not_what_was_written_is_never_decrypted(tmp_path: Path) -> None:
    """Anybody can encrypt to the recipient: only the digest says that it is this backup's."""
    owner = pyrage.x25519.Identity.generate()
    with backup_folder.writing(tmp_path, NAME) as out:
        pieces = out.encrypt("database", [b"first", b"second"], owner.to_public())
    folder = tmp_path / NAME
    (folder / pieces[1].name).write_bytes(pyrage.encrypt(b"sec0nd", [owner.to_public()]))
    rows = backup_folder.decrypted(folder, pieces, owner)

    assert next(rows) == b"first"
    with pytest.raises(IntegrityFault, match=r"database\.0002\.age") as refused:
        next(rows)
    assert (refused.value.code, refused.value.details["file"]) == ("backup_broken", pieces[1].name)


def test_cut_and_missing_files_are_named(tmp_path: Path) -> None:
    """A check that finds files spoilt says which, all of them."""
    (tmp_path / "database.0001.age").write_bytes(b"ro")
    assert backup_folder.faulty_files(tmp_path, _manifest()) == ["database.0001.age", "ab.1"]


def test_a_disk_that_cannot_be_read_is_not_taken_for_a_bad_backup(tmp_path: Path) -> None:
    """The backup may be sound: the answer is to look at the disk, not to throw it away."""
    manifest, owner = _manifest(), pyrage.x25519.Identity.generate()
    stored = backup_folder.object_path(tmp_path, "ab.1")
    stored.parent.mkdir(parents=True)
    for path in (tmp_path / "manifest.json", tmp_path / "database.0001.age", stored):
        path.symlink_to(path)  # leads to itself: the system refuses it, even to root

    def open_stored() -> None:
        with backup_folder.open_object(tmp_path, manifest.objects[0]):
            pass

    for read in (
        lambda: backup_folder.open_manifest(tmp_path, []),
        lambda: list(backup_folder.decrypted(tmp_path, manifest.database, owner)),
        lambda: backup_folder.faulty_files(tmp_path, manifest),
        open_stored,
    ):
        with pytest.raises(Unavailable, match="Check its disk and its permissions"):
            read()
