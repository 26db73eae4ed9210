"""What a bucket still holds: every version, every delete marker, every part of an unfinished upload.

A bucket with versions keeps what was overwritten and what was deleted; whoever only lists objects
sees none of it.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from consent_service.vault.blobs.s3_bucket import Bucket
from tests.faults.sweep import promise
from tests.support.seaweed import Seaweed


@dataclass(frozen=True)
class Left:
    """One thing in a bucket. `kind` is version, marker or upload; `id` names it there."""

    name: str
    kind: str
    id: str


class WholeBucket:
    """Everything below one prefix of a bucket, as its server tells it."""

    def __init__(self, server: Seaweed, url: str) -> None:
        self._client: Any = server.client()
        self._bucket = Bucket.of(urlsplit(url))

    def everything(self) -> list[Left]:
        """Return every version, delete marker and unfinished upload."""
        return [*self._versions(), *self._uploads()]

    def holding(self, needles: Iterable[bytes]) -> list[Left]:
        """Return every version whose bytes hold one of `needles`."""
        wanted = list(needles)
        return [
            one
            for one in self._versions()
            if one.kind == "version" and any(needle in self._bytes_of(one) for needle in wanted)
        ]

    def require_found_when_planted(self) -> None:
        """Hide bytes in an overwritten and deleted version, and begin an upload; find them all."""
        name, word = f"{self._bucket.prefix}planted", secrets.token_bytes(32)
        at = {"Bucket": self._bucket.name, "Key": name}
        self._client.put_object(**at, Body=b"-" * 99 + word)
        self._client.put_object(**at, Body=b"nothing")
        self._client.delete_object(**at)
        begun = self._client.create_multipart_upload(**at)["UploadId"]
        try:
            kinds = sorted(one.kind for one in self.everything() if one.name == name)
            promise(kinds == ["marker", "upload", "version", "version"], f"found only {kinds}")
            promise(len(self.holding([word])) == 1, "the search does not look into old versions")
        finally:
            self._client.abort_multipart_upload(**at, UploadId=begun)
            for one in self._versions():
                if one.name == name:
                    self._client.delete_object(**at, VersionId=one.id)

    def _versions(self) -> Iterator[Left]:
        pages = self._client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self._bucket.name, Prefix=self._bucket.prefix):
            for kind, rows in (("version", "Versions"), ("marker", "DeleteMarkers")):
                yield from (Left(row["Key"], kind, row["VersionId"]) for row in page.get(rows, ()))

    def _uploads(self) -> Iterator[Left]:
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._bucket.name, Prefix=self._bucket.prefix):
            yield from (Left(r["Key"], "upload", r["UploadId"]) for r in page.get("Uploads", ()))

    def _bytes_of(self, one: Left) -> bytes:
        got = self._client.get_object(Bucket=self._bucket.name, Key=one.name, VersionId=one.id)
        content: bytes = got["Body"].read()
        return content
