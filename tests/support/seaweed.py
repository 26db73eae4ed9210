"""A real S3 server (SeaweedFS) on loopback, with its data in a folder, for tests of the store."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import urllib3

from consent_service.ids import new_id
from tests.support.processes import free_port

WEED = Path(sys.executable).with_name("weed")
ACCESS, SECRET = "clinic", "not-a-secret-of-anybody"
_SECONDS = 60
# Each is named, because what is not named is the same on every server, or 10,000 above another.
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "s3.port.iceberg",
    "s3.port.lance",
)


@dataclass
class Seaweed:
    """One server; `stop` and `start` keep its data."""

    folder: Path
    port: int
    _ports: dict[str, int] = field(default_factory=dict, repr=False)
    _buckets: set[str] = field(default_factory=set)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """Where its S3 interface listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._ports = {f"-{name}": free_port() for name in _PORTS}
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    WEED,
                    "server",
                    f"-dir={data}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-filer",
                    "-s3",
                    *(f"{option}={port}" for option, port in self._ports.items()),
                    f"-s3.port={self.port}",
                    f"-s3.config={self._identities()}",
                    "-volume.max=100",
                    "-master.volumeSizeLimitMB=64",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await_answer()

    def stop(self) -> None:
        """End the server and what it started; its data stays."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=_SECONDS)
            self._process = None

    def client(self) -> Any:
        """A boto3 client with the server's only identity."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="eu-west-2",
        )

    def store_url(self, *, versions: bool = False, locks: bool = False) -> str:
        """Return the address of an empty store, for CONSENT_BLOB_URL: a new prefix in a bucket.

        A bucket takes volumes of the server, so there is one of each kind for all tests.
        """
        bucket = "locked" if locks else "versioned" if versions else "plain"
        if bucket not in self._buckets:
            self._make(bucket, versions=versions, locks=locks)
        credentials = self.folder / "credentials"
        credentials.write_text(
            f"[default]\naws_access_key_id={ACCESS}\naws_secret_access_key={SECRET}\n"
        )
        where = f"endpoint={self.endpoint}&credentials_file={credentials}"
        return f"s3://{bucket}/{new_id()}?{where}"

    def _make(self, bucket: str, *, versions: bool, locks: bool) -> None:
        client = self.client()
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locks)
        if versions:
            client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        self._buckets.add(bucket)

    def _await_answer(self) -> None:
        """Wait for the S3 interface, and until the master knows of a place to write to."""
        retries = urllib3.Retry(
            total=600,
            backoff_factor=0.05,
            backoff_max=0.2,
            status_forcelist=[404, 406, 500, 503],
            raise_on_status=True,
        )
        with urllib3.PoolManager(retries=retries, timeout=_SECONDS) as pool:
            pool.request("GET", f"{self.endpoint}/healthz")
            pool.request("GET", f"http://127.0.0.1:{self._ports['-master.port']}/dir/assign")

    def _identities(self) -> Path:
        path = self.folder / "identities.json"
        keys = [{"accessKey": ACCESS, "secretKey": SECRET}]
        one = {"name": "clinic", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
        path.write_text(json.dumps({"identities": [one]}))
        return path


@contextmanager
def seaweed(folder: Path) -> Iterator[Seaweed]:
    """Lend a server that is ready for use; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Seaweed(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()
