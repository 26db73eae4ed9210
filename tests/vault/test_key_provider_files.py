"""Master keys in files: who may read them, what a crash leaves, and what destroying is worth."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.errors import KeyDestroyed, SettingsFault, Unavailable
from consent_service.vault.key_providers import (
    Assurance,
    FileKeyProvider,
    MemoryKeyProvider,
    master_version_of,
    open_provider,
)
from consent_service.vault.key_providers import file as file_provider
from consent_service.vault.key_providers.file import assurance_from, assurance_of

SECRET = (b"s" * 32, b"place")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "keys" / "live"


def test_only_the_owner_may_read_master_keys(folder: Path) -> None:
    """Whoever reads a master key and the keyring opens every film."""
    FileKeyProvider(folder)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_a_folder_that_others_may_read_is_refused(folder: Path) -> None:
    """An operator who unpacked the folder with a wide umask must hear of it."""
    FileKeyProvider(folder)
    folder.chmod(0o750)

    with pytest.raises(SettingsFault, match="chmod 700"):
        FileKeyProvider(folder)


def test_opening_again_finds_the_same_key(folder: Path) -> None:
    """A restart must not make a new master key."""
    [wrapped] = FileKeyProvider(folder).wrap_many([SECRET])

    assert FileKeyProvider(folder).unwrap_many([(wrapped, SECRET[1])]) == [SECRET[0]]


def test_a_rotation_by_one_process_is_seen_by_another_at_once(folder: Path) -> None:
    """A web process that kept using the old version would wrap under a key about to go."""
    worker, web = FileKeyProvider(folder), FileKeyProvider(folder)

    worker.rotate()

    assert master_version_of(web.wrap_many([SECRET])[0]) == 2


def test_a_destroyed_file_is_overwritten_where_it_lies(folder: Path) -> None:
    """A name that is gone says nothing of the block it stood for."""
    provider = FileKeyProvider(folder)
    [path] = folder.iterdir()
    with path.open("rb", buffering=0) as still_open:
        key = still_open.read(32)
        provider.rotate()
        provider.destroy_before(2)
        still_open.seek(0)
        left = still_open.read()

    assert any(key)
    assert left == bytes(4096)


def test_a_key_half_destroyed_by_a_crash_is_no_key(folder: Path) -> None:
    """Overwritten but not yet unlinked: it must neither open nor wrap anything."""
    provider = FileKeyProvider(folder)
    [wrapped] = provider.wrap_many([SECRET])
    provider.rotate()
    (folder / "master-000001.key").write_bytes(bytes(4096))

    with pytest.raises(KeyDestroyed):
        provider.unwrap_many([(wrapped, SECRET[1])])
    provider.destroy_before(2)
    assert provider.versions() == [2]


def test_a_key_that_vanishes_while_it_is_read_is_no_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process destroys old versions between our listing and our reading."""
    provider = FileKeyProvider(folder)
    provider.rotate()
    listed = provider.versions()
    provider.destroy_before(2)
    monkeypatch.setattr(provider, "versions", lambda: listed)

    assert master_version_of(provider.wrap_many([SECRET])[0]) == 2


def test_a_version_that_a_crash_left_unnamed_is_swept_away(folder: Path) -> None:
    """A master key in a file nobody knows of would outlive every promise."""
    provider = FileKeyProvider(folder)
    leftover = folder / ".master-000002.key~0011223344556677"
    leftover.write_bytes(os.urandom(4096))
    provider.rotate()

    provider.destroy_before(2)

    assert [path.name for path in folder.iterdir()] == ["master-000002.key"]


def test_an_emptied_folder_says_so(folder: Path) -> None:
    """A volume that was not mounted must not look like destroyed consent."""
    provider = FileKeyProvider(folder)
    next(folder.iterdir()).unlink()

    with pytest.raises(KeyDestroyed, match="Put the folder back"):
        provider.wrap_many([SECRET])


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """The message names the system's code and no path."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match="ENOTDIR") as refused:
        FileKeyProvider(tmp_path / "file" / "live")

    assert str(tmp_path) not in refused.value.message


def _open_and_wrap(folder: Path, start: "threading.Barrier") -> bytes:
    start.wait(30)
    return FileKeyProvider(folder).wrap_many([SECRET])[0]


def test_two_processes_that_open_an_empty_folder_share_one_key(folder: Path) -> None:
    """Web and worker start together on the first day."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as shared, context.Pool(2) as pool:
        start = shared.Barrier(2)
        wrapped = pool.starmap(_open_and_wrap, [(folder, start)] * 2, chunksize=1)

    opened = FileKeyProvider(folder).unwrap_many([(one, SECRET[1]) for one in wrapped])
    assert opened == [SECRET[0], SECRET[0]]


def mount(kind: str, options: str = "rw", device: str = "8:1") -> str:
    """One line as Linux writes it, between two others."""
    return (
        "22 1 0:5 / /proc rw shared:5 - proc proc rw\n"
        f"36 35 {device} /mnt1 /mnt2 rw,noatime master:1 - {kind} /dev/sda1 {options}\n"
        "40 1 0:9 / /run rw shared:9 - tmpfs tmpfs rw\n"
    )


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4", "xfs"])
def test_file_systems_that_write_in_place_give_overwritten(kind: str) -> None:
    """Measured: no copy of the key is left on the disk."""
    assert assurance_from(mount(kind), os.makedev(8, 1)) is Assurance.OVERWRITTEN


@pytest.mark.parametrize(
    "mounts",
    [
        mount("btrfs"),
        mount("zfs"),
        mount("overlay"),
        mount("nfs4"),
        mount("ext4", "rw,data=journal"),
        mount("ext4", device="8:2"),
        "",
    ],
)
def test_anything_else_gives_unlinked_only(mounts: str) -> None:
    """A certificate must not promise what the file system does not do."""
    assert assurance_from(mounts, os.makedev(8, 1)) is Assurance.UNLINKED_ONLY


def test_a_system_that_does_not_tell_its_mounts_gives_unlinked_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every machine is Linux."""
    folder.mkdir(parents=True)
    monkeypatch.setattr(file_provider, "_MOUNTS", folder / "no mountinfo here")

    assert assurance_of(folder) is Assurance.UNLINKED_ONLY


def test_the_assurance_is_that_of_the_folders_own_file_system(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The data folder and the folder of master keys may lie on different disks."""
    folder.mkdir(parents=True)
    device = folder.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mount("xfs", device=f"{os.major(device)}:{os.minor(device)}"))
    monkeypatch.setattr(file_provider, "_MOUNTS", mounts)

    assert assurance_of(folder) is Assurance.OVERWRITTEN


def test_lost_master_keys_are_not_made_anew(folder: Path) -> None:
    """New ones open nothing, and would lie in the way when the lost folder is put back."""
    for there in (False, True):
        if there:
            folder.mkdir(mode=0o700, parents=True)
        with pytest.raises(SettingsFault) as refused:
            open_provider(f"file://{folder}", must_exist=True)

        assert refused.value.code == "master_missing"
        assert str(folder) in refused.value.message
        assert folder.exists() is there and not list(folder.glob("*"))
    assert open_provider(f"file://{folder}").versions() == [1]
    assert open_provider(f"file://{folder}", must_exist=True).versions() == [1]


def _addresses(tmp_path: Path) -> Iterator[str]:
    yield f"file://{tmp_path}/with%20space"
    yield f"file://localhost{tmp_path}/with%20space"


def test_an_address_opens_the_provider_it_names(tmp_path: Path) -> None:
    """Settings are addresses."""
    for address in _addresses(tmp_path):
        assert open_provider(address).versions() == [1]

    assert (tmp_path / "with space").is_dir()
    assert isinstance(open_provider("memory://"), MemoryKeyProvider)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("openbao://localhost:8200/transit", "token_file"),
        ("s3://bucket", "file:///path"),
        ("file://otherhost/path", "file:///path"),
        ("file:///", "file:///path"),
        ("", "file:///path"),
    ],
)
def test_an_address_that_cannot_be_served_names_the_setting(address: str, said: str) -> None:
    """Half-configured means it refuses to start and says which setting."""
    with pytest.raises(SettingsFault, match=said) as refused:
        open_provider(address)

    assert "CONSENT_KEY_PROVIDER" in refused.value.message
