"""Keyrings for tests: one home with its providers, opened as often as a test likes.

`Interleaved` is a real provider that lets something else happen in between: that stands for another
process which is faster than the one under test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from consent_service.errors import Refused
from consent_service.ids import new_id
from consent_service.vault.key_providers import (
    Assurance,
    FileKeyProvider,
    KeyProvider,
    MemoryKeyProvider,
)
from consent_service.vault.key_providers.port import FORBIDDEN
from consent_service.vault.keyring import KeyKind, Keyring, NewKey, shard_of

AT = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
LATER = datetime(2026, 5, 4, 21, 0, tzinfo=UTC)


@dataclass
class KeyringHome:
    """Where a keyring lives: its database's URL and the two providers."""

    url: str
    live: KeyProvider = field(default_factory=MemoryKeyProvider)
    escrow: KeyProvider = field(default_factory=MemoryKeyProvider)
    _opened: list[Keyring] = field(default_factory=list)

    @classmethod
    def with_files(cls, url: str, folder: Path) -> "KeyringHome":
        """A home whose master keys are files under `folder`."""
        return cls(url, FileKeyProvider(folder / "live"), FileKeyProvider(folder / "escrow"))

    def open(self, live: KeyProvider | None = None, escrow: KeyProvider | None = None) -> Keyring:
        """Open the keyring, as another process would; with other providers if named."""
        keyring = Keyring(self.url, live or self.live, escrow or self.escrow)
        self._opened.append(keyring)
        return keyring

    def close(self) -> None:
        """Close whatever was opened."""
        for keyring in self._opened:
            keyring.close()


def make_keys(
    keyring: Keyring, count: int, kind: KeyKind = KeyKind.CONSENT, shard: int | None = None
) -> list[str]:
    """Make `count` keys in `shard`, or each in the shard its id falls into; return their ids."""
    ids = [new_id() for _ in range(count)]
    places = [shard_of(key_id) if shard is None else shard for key_id in ids]
    keyring.create_many(
        [NewKey(key_id, kind, place) for key_id, place in zip(ids, places, strict=True)], AT
    )
    return ids


class Interleaved:
    """A provider that lets something else happen, once, at one moment of the caller's work."""

    def __init__(self, inner: KeyProvider) -> None:
        self._inner = inner
        self.before_unwrapping: Callable[[], object] | None = None
        self.after_unwrapping: Callable[[], object] | None = None
        self.after_wrapping: Callable[[], object] | None = None

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        wrapped = self._inner.wrap_many(items)
        self.after_wrapping, act = None, self.after_wrapping
        _do(act)
        return wrapped

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        self.before_unwrapping, act = None, self.before_unwrapping
        _do(act)
        secrets = self._inner.unwrap_many(items)
        self.after_unwrapping, act = None, self.after_unwrapping
        _do(act)
        return secrets

    def rotate(self) -> int:
        return self._inner.rotate()

    def destroy_before(self, version: int) -> Assurance:
        return self._inner.destroy_before(version)

    def versions(self) -> list[int]:
        return self._inner.versions()


def _do(act: Callable[[], object] | None) -> None:
    if act is not None:
        act()


class OnSnapshotDisk(MemoryKeyProvider):
    """Master keys on a file system that keeps old blocks: destroyed ones may survive."""

    def destroy_before(self, version: int) -> Assurance:
        super().destroy_before(version)
        return Assurance.UNLINKED_ONLY


class WrapsOnly:
    """A provider as a web process has it in escrow: the key server lets it wrap, and no more."""

    def __init__(self, inner: KeyProvider) -> None:
        self._inner = inner

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        return self._inner.wrap_many(items)

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        raise Refused("Not with this token.", code=FORBIDDEN)

    def rotate(self) -> int:
        raise Refused("Not with this token.", code=FORBIDDEN)

    def destroy_before(self, version: int) -> Assurance:
        raise Refused("Not with this token.", code=FORBIDDEN)

    def versions(self) -> list[int]:
        return self._inner.versions()
