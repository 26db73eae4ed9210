"""Readers of what brings keys: a key backup, a backup's manifest, a key server's answers.

Whoever knows the recipient can encrypt a key backup, and whoever stands between us and the key
server can answer for it. Nothing of what they say may end a process, stay half done, or be taken
for a key that it is not.
"""

import base64
import contextlib
import io
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyrage
import rfc8785
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service.errors import (
    IntegrityFault,
    KeyDestroyed,
    Refused,
    SettingsFault,
    Unavailable,
)
from consent_service.vault.backup_manifest import (
    FORMAT,
    BackedUpObject,
    BackupFile,
    Manifest,
    read_manifest,
    write_manifest,
)
from consent_service.vault.key_backups import RestoredKeys
from consent_service.vault.key_providers.openbao import OpenBaoKeyProvider, TransitKey
from consent_service.vault.key_providers.port import joined_version
from consent_service.vault.keyring import Keyring, KeyStatus, Zone
from consent_service.vault.keyring_values import KEY_BYTES
from consent_service.vault.shard_keys import ShardMoved, unwrap_shard_keys
from consent_service.vault.signing_keys import Signer, SigningUse
from tests.support.keyrings import AT, LATER, KeyringHome, make_keys

# --- key backups ----------------------------------------------------------------------------

_OWNER = pyrage.x25519.Identity.generate()
_PLACE = TemporaryDirectory(prefix="consent-fuzz-")


class _Empty:
    """A keyring that holds nothing; the same one for as long as nothing is put into it."""

    def __init__(self) -> None:
        self._home: KeyringHome | None = None
        self._made = 0

    def ring(self) -> Keyring:
        """Return it."""
        if self._home is None:
            self._made += 1
            self._home = KeyringHome(f"sqlite:///{_PLACE.name}/{self._made}.sqlite3")
            self._ring = self._home.open()
        return self._ring

    def is_used(self) -> None:
        """The next one is another."""
        if self._home is not None:
            self._home.close()
            for file in Path(_PLACE.name).glob(f"{self._made}.sqlite3*"):
                file.unlink()
        self._home = None


_EMPTY = _Empty()


@cache
def key_backups() -> tuple[bytes, ...]:
    """A backup of everything that a keyring can hold: its lines, as they are encrypted, and so."""
    place = _Empty()
    ring = place.ring()
    live, sealed, gone = make_keys(ring, 3)
    ring.seal([sealed, "fenced"], AT)
    ring.seal_secret("waiting", bytes(KEY_BYTES), 7, AT)
    ring.destroy([gone, "never"], "order", AT)
    assert ring.status([live]) == {live: KeyStatus.LIVE}
    ring.backups.make(file := io.BytesIO(), str(_OWNER.to_public()), AT)
    place.is_used()
    return pyrage.decrypt(file.getvalue(), [_OWNER]), file.getvalue()


def key_backup(content: bytes) -> None:
    """As a file, and as what somebody who knows the recipient has encrypted: whole or not at all.

    What is accepted is keys that work, and can be backed up and read once more.
    """
    for file in (content, pyrage.encrypt(content, [_OWNER.to_public()])):
        ring = _EMPTY.ring()
        try:
            came = ring.backups.restore(io.BytesIO(file), str(_OWNER), LATER)
        except IntegrityFault:
            assert not list(ring.list_keys()), "half of what was refused came"
            continue
        except BaseException:
            _EMPTY.is_used()
            raise
        try:
            _require_sound(ring, came)
        finally:
            _EMPTY.is_used()


def _require_sound(ring: Keyring, came: RestoredKeys) -> None:
    held = list(ring.list_keys())
    assert (came.restored, came.present) == (len(held), 0), "it counts otherwise than it holds"
    live = ring.read([one.key_id for one in held if one.zone is Zone.LIVE])
    sealed = ring.read_sealed([one.key_id for one in held if one.zone is Zone.ESCROW])
    secrets = [*live.values(), *sealed.values()]
    assert len(secrets) == len(held), "a key that came does not open"
    assert {len(one) for one in secrets} <= {KEY_BYTES}, "what came is no key"
    ring.backups.make(out := io.BytesIO(), str(_OWNER.to_public()), LATER)
    again = ring.backups.restore(io.BytesIO(out.getvalue()), str(_OWNER), LATER)
    assert again == RestoredKeys(0, len(held), 0), "it reads otherwise than it was written"


# --- manifests of backups -------------------------------------------------------------------

_SIGNER = Signer(SigningUse.CERTIFICATES, Ed25519PrivateKey.generate())
_PUBLISHED = (_SIGNER.published(AT),)


@cache
def manifests() -> tuple[bytes, ...]:
    """Two that were signed: one with everything, one with little."""
    digest, identifier = "ab" * 32, "0190" * 8
    made = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    full = Manifest(
        id=identifier,
        made_at=made,
        expires_at=made + timedelta(days=30),
        service="1.0.0",
        engine="sqlite",
        schema="0001",
        checkpoint="consent\n7\nq83vEg==\n",
        journal_line=7,
        journal_hash=digest,
        database=(BackupFile("database.0001.age", 4096, digest),),
        policies=(BackupFile("policies.0001.age", 700, digest),),
        objects=(BackedUpObject(f"{identifier}.1", 5000, digest, "0191" * 8),),
        absent=(f"{identifier}.0",),
    )
    little = Manifest(**{**vars(full), "checkpoint": None, "objects": (), "absent": ()})
    return tuple(write_manifest(one, _SIGNER) for one in (full, little))


def manifest(raw: bytes) -> None:
    """Accepted only if it is, to the byte, what was signed; and no surprise in what we sign."""
    if _is_read(raw):
        assert raw in manifests(), "a manifest that nobody signed was accepted"
    ours = _signed(raw)
    if ours is not None:
        _is_read(ours)


def _is_read(raw: bytes) -> bool:
    try:
        read_manifest(raw, _PUBLISHED)
    except IntegrityFault:
        return False
    return True


def _signed(raw: bytes) -> bytes | None:
    """The same members as a service that signs anything would have signed them."""
    try:
        members = {**json.loads(raw), "format": FORMAT, "key_id": _SIGNER.key_id}
        members.pop("signature", None)
        signature = _base64(_SIGNER.sign(rfc8785.dumps(members)))
        return rfc8785.dumps(members | {"signature": signature})
    except (TypeError, ValueError, RecursionError):
        return None


# --- a key server's answers -----------------------------------------------------------------

_STATUSES = (200, 204, 400, 403, 404, 429, 473, 500, 503)
_SECRETS = [(b"s" * KEY_BYTES, b"shard 7"), (b"t" * KEY_BYTES, b"shard 8")]
_WRAPPED = [(joined_version(1, b"w" * 40), place) for _, place in _SECRETS]
_DECLARED = (Unavailable, Refused, IntegrityFault, KeyDestroyed, SettingsFault)


class _Answers:
    """Stands where urllib3's pool of connections does, and answers every question the same.

    Only the way over the network is left out: what is answered is read by urllib3's own response.
    """

    def __init__(self, status: int, body: bytes, lookup: bytes | None) -> None:
        self._status, self._body, self._lookup = status, body, lookup
        self.asked = 0

    def request(self, _method: str, url: str, **_more: Any) -> urllib3.HTTPResponse:
        """Return the answer; the token's look-up has one of its own unless that is tried."""
        self.asked += 1
        told = self._lookup if url.endswith("/lookup-self") else None
        status, body = (self._status, self._body) if told is None else (200, told)
        return urllib3.HTTPResponse(io.BytesIO(body), status=status, preload_content=True)


@cache
def _token_file() -> Path:
    path = Path(_PLACE.name, "token")
    path.write_text("a-token")
    return path


def answers() -> list[bytes]:
    """What a server says; the first byte is the status, the second whether it is of the token."""
    items = {"batch_results": [{"ciphertext": "vault:v1:d3d3"}, {"plaintext": "c3Nz"}]}
    opened = {"batch_results": [{"plaintext": _base64(secret)} for secret, _ in _SECRETS]}
    wrapped = {"batch_results": [{"ciphertext": f"vault:v{n}:d3d3"} for n in (1, 2)]}
    faulty = {"batch_results": [{"plaintext": "c3Nz"}, {"error": "invalid ciphertext"}]}
    said: list[tuple[bytes, object]] = [
        (b"\0\0", {"data": {"keys": {"1": 1_700_000_000, "2": 1_700_000_001}}}),
        (b"\0\0", {"data": {"latest_version": 3, "keys": {"3": 1}}}),
        (b"\0\0", {"data": items}),
        (b"\0\0", {"data": opened}),
        (b"\0\0", {"data": wrapped}),
        (b"\2\0", {"data": faulty}),
        (b"\3\0", {"errors": ["permission denied"]}),
        (b"\0\1", {"data": {"renewable": True, "ttl": 3600}, "auth": {"lease_duration": 3600}}),
        (b"\0\1", {"data": {"renewable": False, "ttl": 0}}),
    ]
    return [head + json.dumps(body).encode() for head, body in said]


def key_server(content: bytes) -> None:
    """A few questions each, and one of the declared refusals or an answer of the right kind."""
    status = _STATUSES[(content[:1] or b"\0")[0] % len(_STATUSES)]
    of_token = bool((content[1:2] or b"\0")[0] % 2)
    lookup = None if of_token else b'{"data": {"renewable": false, "ttl": 0}}'
    for act in (_wraps, _unwraps, _opens, _versions, _rotates, _destroys, _asks_twice):
        provider = OpenBaoKeyProvider(
            TransitKey("https://key-server.example", "transit", "live", _token_file())
        )
        said = _Answers(status, content[2:], lookup)
        provider._server._pool = said  # type: ignore[assignment]
        with contextlib.suppress(_DECLARED):
            act(provider)
        assert said.asked <= 30, "the server is asked without end"


def _wraps(provider: OpenBaoKeyProvider) -> None:
    wrapped = provider.wrap_many(_SECRETS)
    assert len(wrapped) == len(_SECRETS)
    assert all(len(one) > 4 and one[:4] != bytes(4) for one in wrapped), "that is no wrapped key"


def _unwraps(provider: OpenBaoKeyProvider) -> None:
    opened = provider.unwrap_many(_WRAPPED)
    assert [type(one) for one in opened] == [bytes] * len(_WRAPPED)


def _opens(provider: OpenBaoKeyProvider) -> None:
    """What comes of it for the keyring: whole shard keys, or one of its own refusals."""
    with contextlib.suppress(ShardMoved):
        found = unwrap_shard_keys(provider, _WRAPPED)
        assert [len(one) for one in found] == [KEY_BYTES] * len(_WRAPPED)


def _versions(provider: OpenBaoKeyProvider) -> None:
    found = provider.versions()
    assert found == sorted(found)
    assert all(type(one) is int for one in found)


def _rotates(provider: OpenBaoKeyProvider) -> None:
    assert type(provider.rotate()) is int


def _destroys(provider: OpenBaoKeyProvider) -> None:
    try:
        provider.destroy_before(2)
    except ValueError as fault:
        assert "rotate first" in str(fault), "that is no refusal to destroy every key"


def _asks_twice(provider: OpenBaoKeyProvider) -> None:
    """The token was looked at when the first was asked, so the second may renew it."""
    provider.versions()
    provider._server._token._renew_at = 0.0
    provider.versions()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
