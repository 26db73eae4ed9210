"""Send a film from a stream to a bucket, in a process of its own: `s3_upload.py WHO URL MEBIBYTES`.

WHO is `ours` (encrypted on its way) or `boto3` (`upload_fileobj`, as it is). Prints the seconds,
and the MiB of memory at the peak above what the libraries took.
"""

import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.session

from consent_service.ids import new_id
from consent_service.vault.blobs import open_store
from consent_service.vault.container import EncryptingWriter, ObjectKind, film_context, new_data_key

MEBIBYTE = 1024 * 1024
_PIECE = bytes(range(256)) * (MEBIBYTE // 256)


class Stream:
    """A film that comes in: so many bytes, in order, once."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end."""
        count = self._left if size < 0 else min(size, self._left)
        self._left -= count
        whole, rest = divmod(count, len(_PIECE))
        return _PIECE[:rest] if not whole else _PIECE * whole + _PIECE[:rest]


def send_ours(url: str, stream: Stream) -> float:
    """Encrypt the stream into our store."""
    store = open_store(url)
    asset = new_id()
    context = film_context(ObjectKind.RECORDING, asset, 1)
    began = time.perf_counter()
    with (
        store.put(f"{asset}.1") as sink,
        EncryptingWriter(sink, new_data_key(), context) as writer,
    ):
        while piece := stream.read(256 * 1024):
            writer.write(piece)
    return time.perf_counter() - began


def send_boto3(url: str, stream: Stream) -> float:
    """Hand the stream to boto3."""
    parts = urlsplit(url)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    core = botocore.session.Session()
    core.set_config_variable("credentials_file", options["credentials_file"])
    session = boto3.Session(botocore_session=core, region_name="eu-west-2")
    client = session.client("s3", endpoint_url=options["endpoint"])
    began = time.perf_counter()
    client.upload_fileobj(stream, parts.netloc, f"{parts.path.strip('/')}/{new_id()}.1")
    return time.perf_counter() - began


def _peak() -> float:
    """Return the peak in MiB; `ru_maxrss` would count what the parent had when it forked."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Send once and say what it took."""
    who, url, mebibytes = sys.argv[1:]
    send = {"ours": send_ours, "boto3": send_boto3}[who]
    send(url, Stream(MEBIBYTE))
    before = _peak()
    seconds = send(url, Stream(int(mebibytes) * MEBIBYTE))
    print(f"{seconds:.6f} {_peak() - before:.2f}")


if __name__ == "__main__":
    main()
