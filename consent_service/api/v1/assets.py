"""The shape of a recording, clip or still, shared by the nouns that answer with one."""

from datetime import date, datetime

from consent_service.api.shapes import Id, Reply
from consent_service.domain.assets import AssetKind, AssetState, RecordClass
from consent_service.domain.attunement import Principle


class AssetReply(Reply):
    """An asset; times within film are milliseconds, sizes bytes, digests SHA-256.

    `fps_milli` is pictures in a thousand seconds.
    """

    id: Id
    kind: AssetKind
    involvement: Id
    meeting: Id | None
    source: Id | None
    state: AssetState
    record_class: RecordClass
    depicted: tuple[Id, ...]
    present: tuple[Id, ...]
    removal_asked: tuple[Id, ...]
    purposes: tuple[str, ...]
    title: str | None
    noticed: str | None
    principles: tuple[Principle, ...]
    filmed_on: date
    media_type: str | None
    size: int | None
    sha256: str | None
    received_sha256: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    fps_milli: int | None
    start_ms: int | None
    end_ms: int | None
    cut: str | None
    created_by: str
    created_at: datetime
    stored_at: datetime | None
    awaiting_since: datetime | None
    rule: str | None
    due_on: date | None
    gone_by: date | None
    erased_at: datetime | None
    order: str | None
    version: int
