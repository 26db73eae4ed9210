"""The journal as objects of a bucket, one a line: `s3://bucket/prefix?endpoint=https://…`.

Object `line-000000000001` holds line 1 with its newline: all of them, one after the other, are the
file that `journal_file` writes.

Rules kept here:
- a line is created with `If-None-Match: *`: of all nodes that write one number the bucket lets one
  in, and the others go on with the next;
- a bucket that does not keep to that is found out before this process adds its first line: the last
  one is written again as it is, which has to be refused;
- an answer that was lost is not guessed at: the object carries a token of its writer's;
- before a line is added the last one known here must be what it was, and all that followed it are
  checked: where a bucket let two in at once, or took one back, whoever was told yes finds it out;
- a number that lacks before one that is there is a fault, never a place to write to.
"""

import contextlib
import itertools
import re
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import SplitResult

from botocore.config import Config
from botocore.exceptions import ClientError

from consent_service.errors import JournalBroken, Refused, SettingsFault, Unavailable
from consent_service.vault.blobs.s3_bucket import (
    BOTO,
    Absent,
    Bucket,
    BucketMissing,
    Taken,
    store_faults,
)
from consent_service.vault.journal import SETTING, KeySource
from consent_service.vault.journal_line import (
    ADVICE,
    BEFORE_FIRST,
    LINE_BYTES_MAX,
    BodyValue,
    Entry,
    Head,
    JournalLine,
    LineKind,
    broken,
    cut_short,
    last_head,
    read_line,
    read_next,
    read_on,
    require_same,
    write_line,
)
from consent_service.vault.signing_keys import PublicKey, Signer

_NAME = re.compile(r"line-([0-9]{12})")
_AT_ONCE = 32
"""Lines read ahead at most, each of a MiB at most."""
_TRIES = 100
"""So often may other nodes be faster before an append gives up."""
_WRITER = "writer"
_FORBIDDEN = (401, 403)
_FAILED = (500, 502, 503, 504)
"""Not 501: that server does not know of object lock."""
_SECONDS = 10


class _Stored(NamedTuple):
    """One object's bytes without the newline, and the token of whoever wrote it."""

    raw: bytes
    writer: str | None


class BucketJournal:
    """A journal below a bucket's prefix; may be used from many threads, processes and nodes."""

    def __init__(
        self, bucket: Bucket, signer: Signer, public_keys: KeySource, *, must_exist: bool
    ) -> None:
        self._bucket = bucket
        self._client = bucket.session().client(
            "s3",
            endpoint_url=bucket.endpoint,
            config=BOTO.merge(Config(read_timeout=_SECONDS, max_pool_connections=_AT_ONCE)),
        )
        self._signer = signer
        self._public_keys = public_keys
        self._appending = threading.Lock()
        self._known: Head | None = None
        self._proven = False
        if must_exist and self._first_after(0) is None:
            raise _missing()

    def append(
        self,
        kind: LineKind,
        body: Mapping[str, BodyValue],
        at: datetime,
        audit_hash: str | None = None,
    ) -> JournalLine:
        """Write one line, durable before this returns; see the port."""
        entry = Entry(kind, body, at, audit_hash)
        keys = self._public_keys()
        with self._appending:
            for _ in range(_TRIES):
                head = self._true_head(keys)
                self._require_conditions(head.number)
                raw = write_line(entry, head, self._signer)
                line = read_line(raw, head.number + 1, keys)
                if self._create(line.number, raw):
                    self._known = line.head
                    return line
        raise Unavailable("Other nodes write to the journal without a pause. Try again.")

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        """Yield the lines that follow number `after`, each checked; see the port."""
        keys = self._public_keys()
        head = self._head_at(after, keys)
        yield from read_on(self._raw_after(head.number), head, keys)

    def head(self) -> Head:
        """Return number and hash of the last line, checked."""
        head = self._true_head(self._public_keys())
        self._known = head
        return head

    def verify(self) -> Head:
        """Check every line from the first on and return the head."""
        return last_head(self.lines())

    def require_contains(self, number: int, expected: str) -> None:
        """Raise JournalBroken unless line `number` is there with the hash `expected`."""
        require_same(self._head_at(number, self._public_keys()), expected)

    def is_write_once(self) -> bool:
        """Tell whether the bucket locks every new object for a time by itself; see the port."""
        with _faults("asking for object lock"):
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket.name)
            except ClientError as fault:
                _require_an_answer(fault)
                return False  # there is none, or this server has no such thing
        return "Rule" in found["ObjectLockConfiguration"]

    def _true_head(self, keys: Sequence[PublicKey]) -> Head:
        """Return the last line's head, having checked what was not yet checked here."""
        head = self._known
        if head is None:
            return self._head_at(self._last_number(), keys)
        require_same(self._head_at(head.number, keys), head.hash)
        for raw in self._raw_after(head.number):
            head = read_next(raw, head, keys).head
        return head

    def _head_at(self, number: int, keys: Sequence[PublicKey]) -> Head:
        """Return line `number`'s head, its signature checked; raises JournalBroken."""
        if number < 1:
            return BEFORE_FIRST
        stored = self._get(number)
        if stored is None:
            raise self._why_absent(number)
        return read_line(stored.raw, number, keys).head

    def _why_absent(self, number: int) -> JournalBroken:
        last = self._last_number()
        if not last:
            return _missing()
        return _lacking(number) if last > number else cut_short(number, last)

    def _create(self, number: int, raw: bytes) -> bool:
        """Create the object of line `number`; tells whether it is ours."""
        token = secrets.token_hex(16)
        try:
            with _faults("writing to the journal"):
                self._client.put_object(
                    Bucket=self._bucket.name,
                    Key=self._key(number),
                    Body=raw + b"\n",
                    Metadata={_WRITER: token},
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
        except Taken:
            # By another node, or by our own first try, whose answer was lost.
            stored = self._get(number)
            return stored is not None and stored.writer == token
        return True

    def _require_conditions(self, number: int) -> None:
        """Raise SettingsFault where the bucket writes over line `number`, once in a process."""
        if self._proven or not number:
            return
        stored = self._get(number)
        if stored is not None and self._create(number, stored.raw):
            raise SettingsFault(
                f"{SETTING}: this bucket writes over what is there, although it is asked not to "
                "(If-None-Match). Two nodes could write one line: use another server.",
                setting=SETTING,
            )
        self._proven = True

    def _get(self, number: int) -> _Stored | None:
        """Return what the object of line `number` holds; None where there is none."""
        try:
            with _faults("reading the journal"):
                found = self._client.get_object(Bucket=self._bucket.name, Key=self._key(number))
                with contextlib.closing(found["Body"]) as body:
                    content: bytes = body.read(LINE_BYTES_MAX + 2)
        except Absent:
            return None
        if not content.endswith(b"\n"):
            raise broken(number, "not_a_line", "its end is not where it was")
        return _Stored(content[:-1], found["Metadata"].get(_WRITER))

    def _raw_after(self, after: int) -> Iterator[bytes]:
        """Yield the bytes of every line that follows `after`, read ahead by more and more."""
        numbers, ahead = self._numbers(after), 1
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="journal") as pool:
            while batch := list(itertools.islice(numbers, ahead)):
                for number, stored in zip(batch, pool.map(self._get, batch), strict=True):
                    if stored is None:
                        raise _lacking(number)
                    yield stored.raw
                ahead = min(2 * ahead, _AT_ONCE)

    def _numbers(self, after: int) -> Iterator[int]:
        """Yield the number of every line after `after` up to the last one listed.

        A list is no picture of one moment: a line may be in it and the one before it, written while
        it was made, not. So none is left out here, and the reading tells what lacks.
        """
        while numbers := self._listed_after(after):
            yield from range(after + 1, numbers[-1] + 1)
            after = numbers[-1]

    def _last_number(self) -> int:
        """Return the highest number there is, by galloping and bisection; 0 for none."""
        last, step = self._first_after(0) or 0, 1
        while last and (found := self._first_after(last + step)):
            last, step = found, 2 * step
        high = last + step if last else 0
        while last < high:
            middle = (last + high) // 2
            found = self._first_after(middle)
            last, high = (found, high) if found else (last, middle)
        return last

    def _first_after(self, number: int) -> int | None:
        """Return the lowest number above `number`; None where there is none."""
        return next(iter(self._listed_after(number, 1)), None)

    def _listed_after(self, number: int, most: int = 1000) -> list[int]:
        """Return up to `most` numbers above `number`; raises JournalBroken for any other name."""
        with _faults("listing the journal"):
            page: Mapping[str, Any] = self._client.list_objects_v2(
                Bucket=self._bucket.name,
                Prefix=f"{self._bucket.prefix}line-",
                StartAfter=self._key(number),
                MaxKeys=most,
            )
        names = [one["Key"].removeprefix(self._bucket.prefix) for one in page.get("Contents", ())]
        matches = [_NAME.fullmatch(name) for name in names]
        if None in matches:
            raise JournalBroken(
                f"Among the lines of the journal lies an object that is none. {ADVICE}",
                code="not_a_line",
            )
        return [int(match[1]) for match in matches if match]

    def _key(self, number: int) -> str:
        return f"{self._bucket.prefix}line-{number:012d}"


def open_bucket_journal(
    parts: SplitResult, signer: Signer, public_keys: KeySource, *, must_exist: bool
) -> BucketJournal:
    """Open the journal at an `s3://` address; raises SettingsFault, asks nothing of the bucket."""
    bucket = Bucket.of(parts, SETTING)
    return BucketJournal(bucket, signer, public_keys, must_exist=must_exist)


@contextlib.contextmanager
def _faults(doing: str) -> Iterator[None]:
    """Turn the bucket's faults into ours; a bucket that is not there is a missing journal."""
    try:
        with store_faults(doing):
            yield
    except BucketMissing as fault:
        raise _missing() from fault


def _require_an_answer(fault: ClientError) -> None:
    """Raise unless the bucket was there and said that it locks nothing."""
    status = fault.response["ResponseMetadata"]["HTTPStatusCode"]
    if status in _FORBIDDEN:
        raise Refused(
            "These credentials may not ask whether the journal's bucket keeps every line. Grant"
            " them s3:GetBucketObjectLockConfiguration.",
            code="may_not_ask",
        ) from fault
    if fault.response["Error"]["Code"] == "NoSuchBucket" or status in _FAILED:
        raise fault


def _missing() -> JournalBroken:
    return JournalBroken(
        f"The journal is missing: its bucket, or every line in it. {ADVICE}", code="missing"
    )


def _lacking(number: int) -> JournalBroken:
    return broken(number, "line_missing", "it is not there, and later ones are")
