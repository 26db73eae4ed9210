"""How far rotating keys follows what ended: `python -m benchmarks.rotation [--keys N] [--json]`.

One keyring in a file, its master keys in files, holds many keys over all its shards. A few keys are
destroyed in 1 % of the shards, or one in each of them, and the rotation that follows is timed:
dirty shards get new keys, what they hold is wrapped again, master keys are replaced and destroyed.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Report, compare, seconds_of
from consent_service.ids import new_id
from consent_service.vault.key_providers import FileKeyProvider
from consent_service.vault.keyring import KeyKind, Keyring, NewKey
from consent_service.vault.keyring_values import SHARDS

FEW = SHARDS // 100
GOALS = {"few_over_full": 0.03}
AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
_MADE_AT_ONCE = 20_000


class Store:
    """A keyring with many keys, and some of each shard put by to be destroyed."""

    def __init__(self, folder: Path, keys: int) -> None:
        providers = [FileKeyProvider(folder / zone) for zone in ("live", "escrow")]
        self.keyring = Keyring(f"sqlite:///{folder / 'keyring.sqlite3'}", *providers)
        self._put_by: list[list[str]] = [[] for _ in range(SHARDS)]
        for start in range(0, keys, _MADE_AT_ONCE):
            self._make(range(start, min(start + _MADE_AT_ONCE, keys)))

    def rotation_seconds(self, dirty: int) -> float:
        """Destroy one key in each of the first `dirty` shards, then time the rotation."""
        self.keyring.destroy([ids.pop() for ids in self._put_by[:dirty]], "order", AT)
        found = len(self.keyring.dirty_shards())
        if found != dirty:
            raise SystemExit(f"{found} shards are dirty, not {dirty}: nothing was measured")
        return seconds_of(partial(self.keyring.rotate, AT))

    def _make(self, numbers: Iterable[int]) -> None:
        made = [(number % SHARDS, new_id()) for number in numbers]
        self.keyring.create_many([NewKey(key, KeyKind.ASSET, shard) for shard, key in made], AT)
        for shard, key in made:
            if len(self._put_by[shard]) < 40:
                self._put_by[shard].append(key)


def measure(keys: int, turns: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("rotation", GOALS)
    report.peers |= {"sqlite3": sqlite3.sqlite_version, "cryptography": version("cryptography")}
    store = Store(folder, keys)
    try:
        report.add(
            "few_over_full",
            compare(
                partial(store.rotation_seconds, FEW), partial(store.rotation_seconds, SHARDS), turns
            ),
        )
    finally:
        store.keyring.close()
    report.figures |= {"keys": keys, "few_shards": FEW, "full_shards": SHARDS}
    return report


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure how rotation follows what ended.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keys", type=int, default=1_000_000, help="how many keys there are")
    parser.add_argument("--turns", type=int, default=3, help="turns that count")
    options = parser.parse_args()
    if options.keys < 20 * SHARDS or options.turns > 15:
        parser.error(f"give at least {20 * SHARDS} keys, and no more than 15 turns")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.keys, options.turns, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()
