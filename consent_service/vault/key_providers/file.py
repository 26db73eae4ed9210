"""Master keys as files: one folder, one file for each version.

Rules kept here:
- folder 0700, files 0600; a folder that others may read is refused;
- a version becomes visible under its name only when its bytes are on the disk, and a lock on the
  folder lets one process at a time make or destroy versions;
- a destroyed version is overwritten in place, synced, unlinked, and the folder synced; its file
  is a whole block, so that the file system keeps the bytes in a block of their own;
- the assurance says what the file system makes of that: only ext2/3/4 and xfs write in place.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from consent_service.errors import KeyDestroyed, SettingsFault
from consent_service.vault import durable
from consent_service.vault.key_providers.port import (
    MASTER_BYTES,
    Assurance,
    require_survivor,
    unwrap_under,
    wrap_under,
)

FILE_BYTES = 4096
_WRITTEN_IN_PLACE = frozenset({"ext2", "ext3", "ext4", "xfs"})
_MOUNTS = Path("/proc/self/mountinfo")
_OTHERS_MAY = 0o077


class FileKeyProvider:
    """A `KeyProvider` whose master keys are files `master-<version>.key` in `folder`.

    The first 32 bytes of a file are the key, the rest is padding. An empty or missing folder gets
    version 1, unless keys `must_exist`.
    """

    def __init__(self, folder: Path, *, must_exist: bool = False) -> None:
        self._folder = folder
        with durable.system_faults("opening the folder of master keys"):
            if must_exist and not folder.exists():
                raise _missing(folder)
            durable.make_folder(folder)
            _require_private(folder)
            with durable.locked_folder(folder):
                if not self.versions():
                    if must_exist:
                        raise _missing(folder)
                    self._make(1)

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `KeyProvider.wrap_many`."""
        return wrap_under(self._masters(), items)

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `KeyProvider.unwrap_many`."""
        return unwrap_under(self._masters(), items)

    def rotate(self) -> int:
        """See `KeyProvider.rotate`."""
        with (
            durable.system_faults("making a new master key"),
            durable.locked_folder(self._folder),
        ):
            version = max(self.versions(), default=0) + 1
            self._make(version)
            return version

    def destroy_before(self, version: int) -> Assurance:
        """See `KeyProvider.destroy_before`."""
        with (
            durable.system_faults("destroying old master keys"),
            durable.locked_folder(self._folder),
        ):
            require_survivor(self.versions(), version)
            old = [self._path(held) for held in self.versions() if held < version]
            # A process that died while it made a version left a name of its own behind.
            for path in [*old, *self._folder.glob(".master-*~*")]:
                _overwrite(path)
                path.unlink()
            durable.sync_folder(self._folder)
        return assurance_of(self._folder)

    def versions(self) -> list[int]:
        """See `KeyProvider.versions`."""
        return sorted(int(path.stem[7:]) for path in self._folder.glob("master-*.key"))

    def _path(self, version: int) -> Path:
        return self._folder / f"master-{version:06d}.key"

    def _make(self, version: int) -> None:
        padding = bytes(FILE_BYTES - MASTER_BYTES)
        durable.write_whole(self._path(version), os.urandom(MASTER_BYTES) + padding)

    def _masters(self) -> dict[int, bytes]:
        """Read all versions anew: another process may just have rotated."""
        with durable.system_faults("reading the master keys"):
            found = {version: self._read(version) for version in self.versions()}
        masters = {version: master for version, master in found.items() if master is not None}
        if not masters:
            raise KeyDestroyed(
                "The folder of master keys is empty. Put the folder back, then try again.",
                code="master_destroyed",
            )
        return masters

    def _read(self, version: int) -> bytes | None:
        """Return the key, or None when it is being destroyed right now."""
        try:
            master = self._path(version).read_bytes()[:MASTER_BYTES]
        except FileNotFoundError:
            return None
        return master if len(master) == MASTER_BYTES and any(master) else None


def assurance_of(folder: Path) -> Assurance:
    """Tell what overwriting a file in `folder` is worth on its file system."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Assurance.UNLINKED_ONLY
    return assurance_from(mounts, folder.stat().st_dev)


def assurance_from(mounts: str, device: int) -> Assurance:
    """Read the assurance for `device` from a `mountinfo` text (proc_pid_mountinfo(5)).

    Unknown devices (btrfs and network mounts among them) count as *unlinked only*, and so does
    ext3/4 with `data=journal`, because its journal keeps copies of what was written.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[2:3] != [wanted]:
            continue
        kind, _, options = right.split(" ", 2)
        if kind in _WRITTEN_IN_PLACE and "data=journal" not in options.split(","):
            return Assurance.OVERWRITTEN
        return Assurance.UNLINKED_ONLY
    return Assurance.UNLINKED_ONLY


def _missing(folder: Path) -> SettingsFault:
    return SettingsFault(
        f"There are no master keys in {folder} (CONSENT_KEY_PROVIDER or CONSENT_ESCROW_PROVIDER). "
        "Put the folder back: without them no key in the keyring opens. Nothing was made in its "
        "place.",
        code="master_missing",
    )


def _require_private(folder: Path) -> None:
    if folder.stat().st_mode & _OTHERS_MAY:
        raise SettingsFault(
            "The folder of master keys (CONSENT_KEY_PROVIDER or CONSENT_ESCROW_PROVIDER) is open "
            "to other users. Run `chmod 700` on it."
        )


def _overwrite(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        durable.write_all(fd, bytes(max(os.fstat(fd).st_size, MASTER_BYTES)))
        os.fsync(fd)
    finally:
        os.close(fd)
