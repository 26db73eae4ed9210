"""Our store in a bucket beside bare clients: `python -m benchmarks.s3 [--json]`.

The bucket is a real SeaweedFS on loopback. `range_64k` reads at random places of a film as a
viewing that goes on does, decrypted; the peer is one GET of a presigned address over a connection
that stays open, of the plain bytes. `upload` sends a stream of unknown length, encrypted, beside
`upload_fileobj` of boto3, each in a process of its own. `delete` removes small objects, beside a
bare loop of DeleteObjects.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from benchmarks.measure import Compared, Report, compare, run_process, seconds_of
from benchmarks.peers import s3_upload
from consent_service.ids import new_id
from consent_service.vault.blobs import BlobStore, Seen, open_store
from consent_service.vault.container import (
    ContainerReader,
    EncryptingWriter,
    ObjectKind,
    film_context,
    new_data_key,
)
from tests.support.seaweed import WEED, Seaweed, seaweed

MEBIBYTE = 1024 * 1024
RANGE = 65536
GOALS = {
    "range_64k_over_presigned": 1.3,
    "upload_over_boto3": 1.0,
    "upload_memory_over_boto3": 1 / 3,
    "delete_over_bare": 1 / 0.9,
}
_TOGETHER = 1000
"""What S3 deletes in one request."""


@dataclass(frozen=True)
class Options:
    """How much to measure."""

    mebibytes: int
    ranges: int
    objects: int
    turns: int


@dataclass(frozen=True)
class Bucket:
    """A bucket of a real server, seen by us and by a bare client."""

    server: Seaweed
    url: str
    store: BlobStore
    client: Any

    @property
    def name(self) -> str:
        """The bucket's name."""
        return urlsplit(self.url).netloc

    def key(self, name: str) -> str:
        """Return the key of one of our objects."""
        return f"{urlsplit(self.url).path.strip('/')}/{name}"


@dataclass(frozen=True)
class Film:
    """One of our objects, and what a viewing keeps of it."""

    name: str
    key: bytes
    context: bytes
    header: bytes
    size: int
    seen: Seen


def stored_film(store: BlobStore, mebibytes: int) -> Film:
    """Store a film of noise."""
    asset, key = new_id(), new_data_key()
    context, block = film_context(ObjectKind.RECORDING, asset, 1), os.urandom(MEBIBYTE)
    with store.put(f"{asset}.1") as sink, EncryptingWriter(sink, key, context) as writer:
        for _ in range(mebibytes):
            writer.write(block)
    with store.open(f"{asset}.1") as source:
        return Film(f"{asset}.1", key, context, writer.header, writer.plain_size, source.seen)


def measure_ranges(report: Report, bucket: Bucket, options: Options) -> None:
    """Compare a seek with a bare GET."""
    film = stored_film(bucket.store, options.mebibytes)
    address = bucket.client.generate_presigned_url(
        "get_object", Params={"Bucket": bucket.name, "Key": bucket.key(film.name)}
    )
    with urllib3.PoolManager() as pool:
        compared = compare(
            partial(_p50, partial(_seek, bucket.store, film), film.size, options.ranges),
            partial(_p50, partial(_get, pool, address), film.size, options.ranges),
            options.turns,
        )
    report.add("range_64k_over_presigned", compared)


def _p50(read: Callable[[int], int], size: int, times: int) -> float:
    """Return the middle of what reading at random places takes."""
    return statistics.median(
        seconds_of(partial(_require, read, random.randrange(size - RANGE))) for _ in range(times)
    )


def _require(read: Callable[[int], int], start: int) -> None:
    if read(start) != RANGE:
        raise SystemExit("a range came back short: nothing was measured")


def _seek(store: BlobStore, film: Film, start: int) -> int:
    with store.open(film.name, film.seen) as source:
        reader = ContainerReader(
            source, film.key, film.context, header=film.header, known_size=film.size
        )
        return sum(map(len, reader.iter_range(start, RANGE, source.stride)))


def _get(pool: urllib3.PoolManager, address: str, start: int) -> int:
    headers = {"Range": f"bytes={start}-{start + RANGE - 1}"}
    return len(pool.request("GET", address, headers=headers).data)


def measure_uploads(report: Report, bucket: Bucket, options: Options) -> None:
    """Compare speed and memory of sending a film."""
    memory: dict[str, list[float]] = {"ours": [], "boto3": []}

    def send(who: str) -> float:
        argv = [sys.executable, s3_upload.__file__, who, bucket.url, str(options.mebibytes)]
        seconds, mebibytes = map(float, run_process(argv).split())
        memory[who].append(mebibytes)
        return seconds

    report.add(
        "upload_over_boto3", compare(partial(send, "ours"), partial(send, "boto3"), options.turns)
    )
    ours, theirs = (statistics.median(memory[who]) for who in ("ours", "boto3"))
    report.ratios["upload_memory_over_boto3"] = round(ours / theirs, 3)
    report.figures |= {"upload_mib": ours, "boto3_mib": theirs}


def measure_deletion(report: Report, bucket: Bucket, options: Options) -> None:
    """Compare deleting many objects with the least that S3 asks for."""

    def ours() -> float:
        return seconds_of(partial(bucket.store.delete_many, _small(bucket, options.objects)))

    def bare() -> float:
        return seconds_of(partial(_delete_bare, bucket, _small(bucket, options.objects)))

    compared: Compared = compare(ours, bare, options.turns)
    report.add("delete_over_bare", compared)
    if list(bucket.store.list("small.")):
        raise SystemExit("objects are left that were deleted: nothing was measured")


def _small(bucket: Bucket, count: int) -> list[str]:
    """Put small objects there and return their names."""
    names = [f"small.{new_id()}" for _ in range(count)]

    def put(name: str) -> None:
        bucket.client.put_object(Bucket=bucket.name, Key=bucket.key(name), Body=b"noise")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, names))
    return names


def _delete_bare(bucket: Bucket, names: list[str]) -> None:
    for start in range(0, len(names), _TOGETHER):
        objects = [{"Key": bucket.key(name)} for name in names[start : start + _TOGETHER]]
        bucket.client.delete_objects(Bucket=bucket.name, Delete={"Objects": objects, "Quiet": True})


def measure(options: Options, folder: Path) -> Report:
    """Measure everything, with the server's files in `folder`."""
    report = Report("s3", GOALS)
    report.peers |= {name: version(name) for name in ("boto3", "urllib3", "obstore")}
    if shutil.which(WEED) is None:
        report.missing.append("seaweedfs")
        return report
    said = subprocess.run([WEED, "version"], capture_output=True, text=True, check=True).stdout
    report.peers["seaweedfs"] = said.split("\n")[0]
    with seaweed(folder / "seaweed") as server:
        url = server.store_url()
        bucket = Bucket(server, url, open_store(url), server.client())
        measure_ranges(report, bucket, options)
        measure_uploads(report, bucket, options)
        measure_deletion(report, bucket, options)
    return report


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure our store in a bucket.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--mebibytes", type=int, default=256, help="size of the film")
    parser.add_argument("--ranges", type=int, default=500, help="ranges in each turn")
    parser.add_argument("--objects", type=int, default=2000, help="objects deleted in each turn")
    parser.add_argument("--turns", type=int, default=5, help="turns that count")
    said = vars(parser.parse_args())
    as_json = said.pop("json")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(Options(**said), Path(folder))
    report.show(as_json)


if __name__ == "__main__":
    main()
