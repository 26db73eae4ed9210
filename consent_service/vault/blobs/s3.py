"""A store in a bucket: `s3://bucket/prefix?endpoint=https://…&region=…&credentials_file=…`.

obstore reads the bytes; boto3 holds the reins of multipart uploads, versions and deletions, which
obstore does not show.

Rules kept here:
- every object is a multipart upload, so that whoever discards it can stop its writer, and it is
  completed with `If-None-Match: *`, so that the bucket itself decides between two writers (S3 lets
  one win; SeaweedFS 4.48 may let in two that finish at once, whole, one over the other);
- an answer that was lost is not guessed at: the object carries a token of its writer's;
- a deletion takes every version and delete marker, reads the answer's `Errors`, and looks again;
- a reader is bound to the entity it opened: replaced or deleted, it is `Gone`, never a mix.
"""

import contextlib
import functools
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store as Bytes

from consent_service.errors import Unavailable
from consent_service.vault.blobs import (
    Seen,
    Unfinished,
    discarded,
    prove,
    range_of,
    require_name,
    taken,
)
from consent_service.vault.blobs.s3_bucket import BOTO, Absent, Bucket, Call, Taken, store_faults
from consent_service.vault.blobs.s3_reading import S3Source
from consent_service.vault.blobs.s3_writing import S3Sink, Upload

_ROUNDS = 5
_DELETED_AT_ONCE = 1000
"""S3 takes no more in one request."""
_WRITER = "writer"


class S3Store:
    """Objects in a bucket; may be used from many threads, processes and nodes."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._prefix = bucket.prefix
        session = bucket.session()
        self._client = session.client("s3", endpoint_url=bucket.endpoint, config=BOTO)
        self._call = functools.partial(Call, self._client, bucket.name)
        self._bytes = Bytes(
            bucket.name,
            prefix=bucket.prefix or None,
            region=bucket.region,
            credential_provider=Boto3CredentialProvider(session),
            config={"endpoint": bucket.endpoint} if bucket.endpoint else {},
            client_options={"allow_http": True, "timeout": "60s", "connect_timeout": "3s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )

    @contextlib.contextmanager
    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> Iterator["S3Sink"]:
        """Write a new object; see the port."""
        key = self._key(name)
        if not replace and self._head(name) is not None:
            raise taken(name)
        token = secrets.token_hex(16)
        begun = self._call(f"beginning object {name}").create_multipart_upload(
            Key=key, Metadata={_WRITER: token}, ContentType="application/octet-stream"
        )
        upload = Upload(self._client, self._bucket.name, name, key, begun["UploadId"], token)
        sink = S3Sink(upload, expected_size or 0)
        try:
            with sink:
                yield sink
                parts = sink.finish()
            self._complete(upload, parts, replace)
        except BaseException:
            # Where the store is away, the upload stays listed as unfinished and is swept later.
            with contextlib.suppress(Unavailable):
                upload.abort()
            raise

    def open(self, name: str, seen: Seen | None = None) -> "S3Source":
        """Open an object for reading; raises NotFound. Asks the bucket nothing where `seen`."""
        return S3Source(self._bytes, require_name(name), seen)

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer where the object ends; raises NotFound."""
        with self.open(name) as source:
            return range_of(source, offset, length)

    def delete(self, name: str) -> bool:
        """Remove every version and delete marker; returns whether there was an object."""
        was_there = False
        for _ in range(_ROUNDS):
            versions = list(self._versions(name))
            if not versions:
                return was_there
            was_there |= any(not marker for _, marker in versions)
            self._delete_versions(name, [version for version, _ in versions])
        raise Unavailable(f"Object {name} keeps coming back while it is deleted. Try again.")

    def delete_many(self, names: Collection[str]) -> None:
        """Remove every version of many objects; one request a thousand where there are none.

        A bucket that keeps versions, or says that it did meanwhile, is asked object by object.
        """
        wanted = sorted({self._key(name) for name in names})
        if self._keeps_versions():
            versioned = set(wanted)
        else:
            versioned = self._delete_keys([{"Key": key} for key in wanted], "objects")
        for key in sorted(versioned):
            self.delete(key.removeprefix(self._prefix))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order; passes over foreign objects."""
        wanted = {"Prefix": self._prefix + prefix}
        for page in self._pages("list_objects_v2", "listing the store", **wanted):
            for found in page.get("Contents", ()):
                name = found["Key"][len(self._prefix) :]
                # SeaweedFS finds "b0" under the prefix "b0." where versions are kept.
                if "/" not in name and name.startswith(prefix):
                    yield name

    def list_unfinished(self) -> Iterator[Unfinished]:
        """Yield what began to be written and is not there yet, in order of name."""
        found = [
            Unfinished(one["Key"][len(self._prefix) :], one["Initiated"])
            for one in self._uploads(self._prefix)
        ]
        yield from sorted(found, key=lambda one: one.name)

    def discard_unfinished(self, name: str) -> None:
        """Abort every upload under `name`, and look again: a part may have been on its way."""
        key = self._key(name)
        for _ in range(_ROUNDS):
            mine = [one for one in self._uploads(key) if one["Key"] == key]
            if not mine:
                return
            for one in mine:
                Upload(self._client, self._bucket.name, name, key, one["UploadId"], "").abort()
        raise Unavailable(f"Uploads of object {name} keep coming back. Try again.")

    def check(self) -> None:
        """Write, read back and delete a small object."""
        prove(self)

    def _key(self, name: str) -> str:
        return self._prefix + require_name(name)

    def _head(self, name: str) -> dict[str, Any] | None:
        with contextlib.suppress(Absent):
            found: dict[str, Any] = self._call(f"looking for object {name}").head_object(
                Key=self._key(name)
            )
            return found
        return None

    def _complete(self, upload: "Upload", parts: Sequence[dict[str, Any]], replace: bool) -> None:
        """Make the object visible; where the answer is no, see whether an earlier yes was lost."""
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            self._call(f"finishing object {upload.name}").complete_multipart_upload(
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": [*parts]},
                **condition,
            )
        except (Absent, Taken) as fault:
            found = self._head(upload.name)
            if found is not None and found["Metadata"].get(_WRITER) == upload.token:
                return
            if isinstance(fault, Taken):
                raise taken(upload.name) from fault
            raise discarded(upload.name) from fault

    def _versions(self, name: str) -> Iterator[tuple[str, bool]]:
        """Yield each version id of one object, and whether it is only a delete marker."""
        key = self._key(name)
        for page in self._pages("list_object_versions", f"listing versions of {name}", Prefix=key):
            for kind, marker in (("Versions", False), ("DeleteMarkers", True)):
                for found in page.get(kind, ()):
                    if found["Key"] == key:
                        yield found["VersionId"], marker

    def _delete_versions(self, name: str, versions: Iterable[str]) -> None:
        self._delete_keys(
            [{"Key": self._key(name), "VersionId": version} for version in versions],
            f"object {name}",
        )

    def _delete_keys(self, wanted: Sequence[dict[str, str]], what: str) -> set[str]:
        """Delete by the thousand; return the keys of which the bucket keeps a version."""
        versioned = set()
        for start in range(0, len(wanted), _DELETED_AT_ONCE):
            batch = {"Objects": wanted[start : start + _DELETED_AT_ONCE]}
            answer = self._call(f"deleting {what}").delete_objects(Delete=batch)
            for fault in answer.get("Errors", ()):
                name = fault.get("Key", "").removeprefix(self._prefix)
                raise Unavailable(
                    f"The store did not delete object {name}. Where the bucket has object lock, "
                    "end the lock: nothing can be erased under it.",
                    code="object_locked",
                    name=name,
                )
            versioned |= {
                one["Key"] for one in answer.get("Deleted", ()) if "DeleteMarkerVersionId" in one
            }
        return versioned

    def _keeps_versions(self) -> bool:
        """Tell whether the bucket ever kept versions; once it did, old ones may still lie there."""
        return "Status" in self._call("asking for versioning").get_bucket_versioning()

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._pages("list_multipart_uploads", "listing unfinished", Prefix=prefix):
            yield from page.get("Uploads", ())

    def _pages(self, verb: str, doing: str, **wanted: str) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator(verb).paginate(Bucket=self._bucket.name, **wanted))
        while True:
            with store_faults(doing):
                page = next(pages, None)
            if page is None:
                return
            yield page


def open_bucket(url: str) -> S3Store:
    """Open the store at an `s3://` address; raises SettingsFault."""
    return S3Store(Bucket.of(urlsplit(url)))
