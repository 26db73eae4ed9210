"""A bucket: its address, how it is asked, and what its faults mean."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import boto3
import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader, create_loader
from obstore.exceptions import BaseError, NotFoundError, PreconditionError

from consent_service.errors import ConsentServiceError, DiskFull, SettingsFault, Unavailable
from consent_service.vault.blobs import SETTING

_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
NOT_THERE = (NotFoundError, FileNotFoundError)
_ABSENT = frozenset({"NoSuchKey", "NotFound", "NoSuchUpload", "404"})
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
    setting: str = SETTING

    @classmethod
    def of(cls, parts: SplitResult, setting: str = SETTING) -> "Bucket":
        """Read an `s3://` address; raises SettingsFault naming `setting` and what is wrong."""
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := options.keys() - {"endpoint", "region", "credentials_file"}:
            raise _wrong(setting, f"has no option {', '.join(sorted(unknown))}")
        if not parts.netloc or "@" in parts.netloc:
            raise _wrong(
                setting, "lacks the bucket's name, or carries credentials, which belong in a file"
            )
        endpoint = options.get("endpoint")
        if endpoint is not None:
            _require_safe(endpoint, setting)
        prefix = unquote(parts.path).strip("/")
        return cls(
            name=parts.netloc,
            prefix=f"{prefix}/" if prefix else "",
            endpoint=endpoint,
            region=options.get("region", "eu-west-2"),
            credentials_file=options.get("credentials_file"),
            setting=setting,
        )

    def session(self) -> Session:
        """Return a session with the credentials of the file, or those AWS tools would find.

        Raises SettingsFault when the file is there and is no file of credentials.
        """
        core = botocore.session.Session()
        # What a service can do is a megabyte of JSON, which one process need not read twice.
        core.register_component("data_loader", _known_services())
        if self.credentials_file:
            core.set_config_variable("credentials_file", self.credentials_file)
            try:
                core.get_credentials()
            except BotoCoreError as fault:
                raise _wrong(
                    self.setting, "names a credentials_file that cannot be understood"
                ) from fault
        return boto3.Session(botocore_session=core, region_name=self.region)


@functools.cache
def _known_services() -> Loader:
    return create_loader()


class Absent(Exception):
    """The bucket does not have what was asked for."""


class Taken(Exception):
    """The bucket holds an object of that name."""


class BucketMissing(Unavailable):
    """There is no such bucket, or none that these credentials may see."""


@dataclass(frozen=True)
class Call:
    """Calls boto3 on one bucket and turns its faults into ours."""

    client: Any
    bucket: str
    doing: str

    def __getattr__(self, verb: str) -> Any:
        def call(**wanted: Any) -> Any:
            with store_faults(self.doing):
                return getattr(self.client, verb)(Bucket=self.bucket, **wanted)

        return call


@contextlib.contextmanager
def store_faults(doing: str) -> Iterator[None]:
    try:
        yield
    except ClientError as fault:
        raise _fault_of(fault, doing) from fault
    except NOT_THERE as fault:
        raise Absent from fault
    except PreconditionError as fault:
        raise Taken from fault
    except (BotoCoreError, BaseError, OSError) as fault:
        raise _away(doing) from fault


def _fault_of(fault: ClientError, doing: str) -> Exception:
    code = str(fault.response["Error"]["Code"])
    if code in _ABSENT:
        return Absent()
    if code in _TAKEN:
        return Taken()
    if code == "NoSuchBucket":
        return BucketMissing(f"There is no such bucket ({doing}). Make it, or correct its address.")
    if code in _FULL:
        return DiskFull(f"The store has no room left ({doing}). Make room, then try again.")
    return _away(doing)


def _require_safe(endpoint: str, setting: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise _wrong(setting, "takes an endpoint with https, or http on this machine only")


def _away(doing: str) -> ConsentServiceError:
    return Unavailable(f"The store is away or refused ({doing}). Nothing is lost: try again.")


def _wrong(setting: str, what: str) -> SettingsFault:
    return SettingsFault(
        f"{setting} {what}. Write s3://bucket/prefix?endpoint=https://host&region=name"
        "&credentials_file=/path.",
        setting=setting,
    )


BOTO = Config(
    connect_timeout=3,
    read_timeout=60,
    max_pool_connections=32,
    retries={"total_max_attempts": 4, "mode": "standard"},
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
