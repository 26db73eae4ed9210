"""A store in a bucket: `s3://bucket/prefix?endpoint=https://…&region=…&credentials_file=…`.

obstore reads the bytes; boto3 holds the reins of multipart uploads, versions and deletions, which
obstore does not show.

Rules kept here:
- every object is a multipart upload, so that whoever discards it can stop its writer, and it is
  completed with `If-None-Match: *`, so that the bucket itself lets one writer win;
- an answer that was lost is not guessed at: the object carries a token of its writer's;
- a deletion takes every version and delete marker, reads the answer's `Errors`, and looks again;
- a reader is bound to the entity it opened: replaced or deleted, it is `Gone`, never a mix.
"""

import contextlib
import functools
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import boto3
import botocore.session
import obstore
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store as Bytes

from consent_service.errors import ConsentServiceError, DiskFull, Gone, SettingsFault, Unavailable
from consent_service.vault.blobs import (
    SETTING,
    Unfinished,
    absent,
    discarded,
    prove,
    range_of,
    require_name,
    taken,
)

if TYPE_CHECKING:
    from obstore import GetOptions

PART_BYTES = 8 * 1024 * 1024
"""S3 takes no part under 5 MiB but the last, and no more than 10,000 of them."""
PARTS_MAX = 9_000
_PARTS_AT_ONCE = 2
_FIRST_BYTES = 4096
_ROUNDS = 5
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_WRITER = "writer"
_NOT_THERE = (NotFoundError, FileNotFoundError)
_ABSENT = frozenset({"NoSuchKey", "NotFound", "404"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "507"})


@dataclass(frozen=True)
class Bucket:
    """Which bucket, below which prefix, reached how."""

    name: str
    prefix: str
    endpoint: str | None
    region: str
    credentials_file: str | None

    @classmethod
    def of(cls, parts: SplitResult) -> "Bucket":
        """Read an `s3://` address; raises SettingsFault saying what is wrong with it."""
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := options.keys() - {"endpoint", "region", "credentials_file"}:
            raise _wrong(f"has no option {', '.join(sorted(unknown))}")
        if not parts.netloc or "@" in parts.netloc:
            raise _wrong("lacks the bucket's name, or carries credentials, which belong in a file")
        endpoint = options.get("endpoint")
        if endpoint is not None:
            _require_safe(endpoint)
        prefix = unquote(parts.path).strip("/")
        return cls(
            name=parts.netloc,
            prefix=f"{prefix}/" if prefix else "",
            endpoint=endpoint,
            region=options.get("region", "eu-west-2"),
            credentials_file=options.get("credentials_file"),
        )

    def session(self) -> Session:
        """Return a session with the credentials of the file, or those AWS tools would find."""
        core = botocore.session.Session()
        if self.credentials_file:
            core.set_config_variable("credentials_file", self.credentials_file)
        return boto3.Session(botocore_session=core, region_name=self.region)


class S3Store:
    """Objects in a bucket; may be used from many threads, processes and nodes."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._prefix = bucket.prefix
        session = bucket.session()
        self._client = session.client("s3", endpoint_url=bucket.endpoint, config=_BOTO)
        self._call = functools.partial(_Call, self._client, bucket.name)
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
        upload = _Upload(self._client, self._bucket.name, name, key, begun["UploadId"], token)
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

    def open(self, name: str) -> "S3Source":
        """Open an object for reading; raises NotFound."""
        return S3Source(self._bytes, require_name(name))

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
                _Upload(self._client, self._bucket.name, name, key, one["UploadId"], "").abort()
        raise Unavailable(f"Uploads of object {name} keep coming back. Try again.")

    def check(self) -> None:
        """Write, read back and delete a small object."""
        prove(self)

    def _key(self, name: str) -> str:
        return self._prefix + require_name(name)

    def _head(self, name: str) -> dict[str, Any] | None:
        with contextlib.suppress(_Absent):
            found: dict[str, Any] = self._call(f"looking for object {name}").head_object(
                Key=self._key(name)
            )
            return found
        return None

    def _complete(self, upload: "_Upload", parts: Sequence[dict[str, Any]], replace: bool) -> None:
        """Make the object visible; where the answer is no, see whether an earlier yes was lost."""
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            done = self._call(f"finishing object {upload.name}").complete_multipart_upload(
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": [*parts]},
                **condition,
            )
        except (_Absent, _Refused) as fault:
            found = self._head(upload.name)
            if found is not None and found["Metadata"].get(_WRITER) == upload.token:
                return
            if isinstance(fault, _Refused):
                raise taken(upload.name) from fault
            raise discarded(upload.name) from fault
        if not replace and done.get("VersionId"):
            self._require_first(upload.name, done["VersionId"])

    def _require_first(self, name: str, mine: str) -> None:
        """Take ours back when another was faster: SeaweedFS lets two in where it keeps versions."""
        *_, (oldest, _) = self._versions(name)
        if oldest != mine:
            self._delete_versions(name, [mine])
            raise taken(name)

    def _versions(self, name: str) -> Iterator[tuple[str, bool]]:
        """Yield each version id of one object, and whether it is only a delete marker."""
        key = self._key(name)
        for page in self._pages("list_object_versions", f"listing versions of {name}", Prefix=key):
            for kind, marker in (("Versions", False), ("DeleteMarkers", True)):
                for found in page.get(kind, ()):
                    if found["Key"] == key:
                        yield found["VersionId"], marker

    def _delete_versions(self, name: str, versions: Iterable[str]) -> None:
        wanted = [{"Key": self._key(name), "VersionId": version} for version in versions]
        for start in range(0, len(wanted), 1000):
            batch = {"Objects": wanted[start : start + 1000], "Quiet": True}
            answer = self._call(f"deleting object {name}").delete_objects(Delete=batch)
            if answer.get("Errors"):
                raise Unavailable(
                    f"The store did not delete object {name}. Where the bucket has object lock, "
                    "end the lock: nothing can be erased under it.",
                    code="object_locked",
                    name=name,
                )

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._pages("list_multipart_uploads", "listing unfinished", Prefix=prefix):
            yield from page.get("Uploads", ())

    def _pages(self, verb: str, doing: str, **wanted: str) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator(verb).paginate(Bucket=self._bucket.name, **wanted))
        while True:
            with _store_faults(doing):
                page = next(pages, None)
            if page is None:
                return
            yield page


class S3Sink:
    """Sends one object's parts, a few at once, each as soon as it is full."""

    def __init__(self, upload: "_Upload", expected_size: int) -> None:
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
        part, self._part = bytes(self._part), bytearray()
        self._sent.append(self._pool.submit(self._upload.send, len(self._sent) + 1, part))


class S3Source:
    """Reads one object by ranges, bound to the entity it found when it opened."""

    def __init__(self, store: Bytes, name: str) -> None:
        self._store, self._name = store, name
        try:
            with _store_faults(f"opening object {name}"):
                self._meta, self._first = _first_of(store, name)
        except _Absent as fault:
            raise absent(name) from fault
        self._open = True

    @property
    def size(self) -> int:
        """The object's length in bytes."""
        return int(self._meta["size"])

    def read_into(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` from `offset` on; returns how many bytes. Raises Gone; see the module."""
        if offset < 0 or not self._open:
            raise ValueError("an offset is not negative, and a closed object is not read")
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self.size - offset))
        if length:
            view[:length] = self._range(offset, offset + length)
        return length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._open = False

    def _range(self, start: int, end: int) -> memoryview:
        if end <= len(self._first):
            return memoryview(self._first)[start:end]
        wanted: GetOptions = {"range": (start, end), "if_match": self._meta["e_tag"]}
        try:
            with _store_faults(f"reading object {self._name}"):
                content = memoryview(obstore.get(self._store, self._name, options=wanted).bytes())
        except (_Absent, _Refused) as fault:
            raise Gone(
                f"Object {self._name} was replaced or deleted while it was read.", name=self._name
            ) from fault
        if len(content) != end - start:
            raise Unavailable(f"The store gave back a part of object {self._name} only. Try again.")
        return content


@dataclass(frozen=True)
class _Upload:
    """One multipart upload."""

    client: Any
    bucket: str
    name: str
    key: str
    upload_id: str
    token: str

    def send(self, number: int, part: bytes) -> dict[str, Any]:
        """Send one part; raises Gone when the upload was discarded."""
        try:
            answer = _Call(self.client, self.bucket, f"writing object {self.name}").upload_part(
                Key=self.key, UploadId=self.upload_id, PartNumber=number, Body=part
            )
        except _Absent as fault:
            raise discarded(self.name) from fault
        return {"ETag": answer["ETag"], "PartNumber": number}

    def abort(self) -> None:
        """Throw the parts away; may be repeated."""
        with contextlib.suppress(_Absent):
            _Call(self.client, self.bucket, f"giving up object {self.name}").abort_multipart_upload(
                Key=self.key, UploadId=self.upload_id
            )


class _Absent(Exception):
    """The bucket does not have what was asked for."""


class _Refused(Exception):
    """The bucket holds an object of that name."""


@dataclass(frozen=True)
class _Call:
    """Calls boto3 on one bucket and turns its faults into ours."""

    client: Any
    bucket: str
    doing: str

    def __getattr__(self, verb: str) -> Any:
        def call(**wanted: Any) -> Any:
            with _store_faults(self.doing):
                return getattr(self.client, verb)(Bucket=self.bucket, **wanted)

        return call


@contextlib.contextmanager
def _store_faults(doing: str) -> Iterator[None]:
    try:
        yield
    except ClientError as fault:
        raise _fault_of(fault, doing) from fault
    except _NOT_THERE as fault:
        raise _Absent from fault
    except PreconditionError as fault:
        raise _Refused from fault
    except (BotoCoreError, BaseError, OSError) as fault:
        raise _away(doing) from fault


def _fault_of(fault: ClientError, doing: str) -> Exception:
    code = str(fault.response["Error"]["Code"])
    if code in _ABSENT or code == "NoSuchUpload":
        return _Absent()
    if code in _TAKEN:
        return _Refused()
    if code in _FULL:
        return DiskFull(f"The store has no room left ({doing}). Make room, then try again.")
    return _away(doing)


def _first_of(store: Bytes, name: str) -> tuple[Any, bytes]:
    """Return what is known of an object and its first bytes, in one question where it has any."""
    try:
        found = obstore.get(store, name, options={"range": (0, _FIRST_BYTES)})
        return found.meta, bytes(found.bytes())
    except _NOT_THERE:
        raise
    except BaseError:
        # An empty object has no range to give.
        return obstore.head(store, name), b""


def open_bucket(url: str) -> S3Store:
    """Open the store at an `s3://` address; raises SettingsFault."""
    return S3Store(Bucket.of(urlsplit(url)))


def _require_safe(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise _wrong("takes an endpoint with https, or http on this machine only")


def _away(doing: str) -> ConsentServiceError:
    return Unavailable(f"The store is away or refused ({doing}). Nothing is lost: try again.")


def _wrong(what: str) -> SettingsFault:
    return SettingsFault(
        f"{SETTING} {what}. Write s3://bucket/prefix?endpoint=https://host&region=name"
        "&credentials_file=/path.",
        setting=SETTING,
    )


_BOTO = Config(
    connect_timeout=3,
    read_timeout=60,
    max_pool_connections=32,
    retries={"total_max_attempts": 4, "mode": "standard"},
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
