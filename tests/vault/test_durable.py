"""Files that survive a power cut, and that leave nothing behind when they cannot be written."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from consent_service.vault.durable import make_folder, write_whole


def recorded(calls: list[str], call: str, real: Callable[..., None]) -> Callable[..., None]:
    """The system call, noted down with the name of what it is about."""

    def record(*args: int | str) -> None:
        target = args[-1]
        open_file = Path(f"/proc/self/fd/{target}")
        path = open_file.readlink() if isinstance(target, int) else Path(target)
        calls.append(f"{call} {path.name}".partition("~")[0])
        real(*args)

    return record


def test_a_file_is_whole_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was half written when the power went would sign nothing ever again."""
    calls: list[str] = []
    for call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, recorded(calls, call, getattr(os, call)))

    write_whole(tmp_path / "key", b"content")

    assert calls == ["fsync .key", "replace key", f"fsync {tmp_path.name}"]
    assert (tmp_path / "key").read_bytes() == b"content"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk must not cost the key that was there, nor leave half of a new one."""
    write_whole(tmp_path / "key", b"old")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="broken"):
        write_whole(tmp_path / "key", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"old"


def test_new_folders_are_durable_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is lost with its folder, when the folder's own name was not yet on the disk."""
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", recorded(calls, "fsync", os.fsync))

    make_folder(tmp_path / "one" / "two")
    make_folder(tmp_path / "one" / "two")

    assert calls == [f"fsync {tmp_path.name}", "fsync one"]
    assert (tmp_path / "one" / "two").stat().st_mode & 0o777 == 0o700
