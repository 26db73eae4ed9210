"""Writing an object to a bucket: a multipart upload whose parts leave as soon as they are full."""

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from consent_service.vault.blobs import discarded
from consent_service.vault.blobs.s3_bucket import Absent, Call

PART_BYTES = 8 * 1024 * 1024
"""S3 takes no part under 5 MiB but the last, and no more than 10,000 of them."""
PARTS_MAX = 9_000
_PARTS_AT_ONCE = 2


class S3Sink:
    """Sends one object's parts in threads of its own: a few at once, each as soon as it is full."""

    waits = False

    def __init__(self, upload: "Upload", expected_size: int) -> None:
        self._upload = upload
        self._part_bytes = max(PART_BYTES, -(-expected_size // PARTS_MAX))
        self._part = bytearray()
        self._sent: list[Future[dict[str, Any]]] = []
        self._pool = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="s3-part")
        self._open = True

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        """Write all of `buffer` and return its length in bytes."""
        if not self._open:
            raise ValueError("this object has been finished or given up")
        rest = memoryview(buffer).cast("B")
        length = len(rest)
        while rest:
            room = self._part_bytes - len(self._part)
            self._part += rest[:room]
            rest = rest[room:]
            if len(self._part) == self._part_bytes:
                self._send()
        return length

    def finish(self) -> list[dict[str, Any]]:
        """Send what is left and return the parts, as the bucket wants them named."""
        if self._part or not self._sent:
            self._send()
        return [sent.result() for sent in self._sent]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._open = False
        self._pool.shutdown(cancel_futures=True)

    def _send(self) -> None:
        """Hand over the part; wait while too many are on their way, so that memory is bounded."""
        if len(self._sent) >= _PARTS_AT_ONCE:
            self._sent[-_PARTS_AT_ONCE].result()
        part, self._part = self._part, bytearray()
        self._sent.append(self._pool.submit(self._upload.send, len(self._sent) + 1, part))


@dataclass(frozen=True)
class Upload:
    """One multipart upload."""

    client: Any
    bucket: str
    name: str
    key: str
    upload_id: str
    token: str

    def send(self, number: int, part: bytearray) -> dict[str, Any]:
        """Send one part; raises Gone when the upload was discarded."""
        try:
            answer = Call(self.client, self.bucket, f"writing object {self.name}").upload_part(
                Key=self.key, UploadId=self.upload_id, PartNumber=number, Body=part
            )
        except Absent as fault:
            raise discarded(self.name) from fault
        return {"ETag": answer["ETag"], "PartNumber": number}

    def abort(self) -> None:
        """Throw the parts away; may be repeated."""
        with contextlib.suppress(Absent):
            Call(self.client, self.bucket, f"giving up object {self.name}").abort_multipart_upload(
                Key=self.key, UploadId=self.upload_id
            )
