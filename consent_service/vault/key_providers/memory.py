"""Master keys in the memory of one process: for tests and for trying things out.

They are gone when the process ends, and so is everything wrapped under them.
"""

import os
import threading
from collections.abc import Sequence

from consent_service.vault.key_providers.port import (
    MASTER_BYTES,
    Assurance,
    require_survivor,
    unwrap_under,
    wrap_under,
)


class MemoryKeyProvider:
    """A `KeyProvider` without a disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._masters = {1: bytearray(os.urandom(MASTER_BYTES))}

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `KeyProvider.wrap_many`."""
        return wrap_under(self._copy(), items)

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `KeyProvider.unwrap_many`."""
        return unwrap_under(self._copy(), items)

    def rotate(self) -> int:
        """See `KeyProvider.rotate`."""
        with self._lock:
            version = max(self._masters) + 1
            self._masters[version] = bytearray(os.urandom(MASTER_BYTES))
            return version

    def destroy_before(self, version: int) -> Assurance:
        """See `KeyProvider.destroy_before`."""
        with self._lock:
            require_survivor(list(self._masters), version)
            for old in [held for held in self._masters if held < version]:
                self._masters.pop(old)[:] = bytes(MASTER_BYTES)
        return Assurance.OVERWRITTEN

    def versions(self) -> list[int]:
        """See `KeyProvider.versions`."""
        return sorted(self._copy())

    def _copy(self) -> dict[int, bytes]:
        with self._lock:
            return {version: bytes(master) for version, master in self._masters.items()}
