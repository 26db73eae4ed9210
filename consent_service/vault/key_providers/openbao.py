"""Master keys in an OpenBao server's transit engine: the keys never leave it.

`openbao://host:8200/mount/key?token_file=/run/secrets/bao&ca=/etc/ssl/bao.pem`; with `tls=off`,
for a server on this machine only, the connection is plain.

Rules kept here:
- the token stands in a file, is read anew when the server refuses it, and is renewed when half of
  its time is over, so an agent may replace it while the service runs;
- a server that is sealed, away or slow is `Unavailable` after bounded tries; what it forbids to
  this token is `Refused` (code `key_server_forbids`), because asking again would change nothing;
- only questions that may be repeated are repeated: a rotation is asked for once;
- an answer that is not what was asked for is `Unavailable` too: nothing in it is guessed at;
- no key, token or ciphertext in any message.
"""

import base64
import binascii
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import urllib3

from consent_service.errors import (
    IntegrityFault,
    KeyDestroyed,
    Refused,
    SettingsFault,
    Unavailable,
)
from consent_service.vault.key_providers.port import (
    FORBIDDEN,
    Assurance,
    joined_version,
    master_version_of,
    require_survivor,
    split_version,
)

AT_ONCE = 200
"""Secrets in one request: the server refuses JSON of more than 1,000 strings, four to a secret."""
SEALED = 503
_SECONDS = urllib3.Timeout(connect=3, read=10)
_TRIES = 3
_POOL = 16
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_CIPHERTEXT = re.compile(rf"vault:v({_VERSION.pattern}):([0-9A-Za-z+/=]+)")
_FORM = "openbao://host:8200/mount/key?token_file=/path/of/token"


@dataclass(frozen=True)
class TransitKey:
    """Which key of which server, and how to reach it."""

    base_url: str
    mount: str
    name: str
    token_file: Path
    ca_file: str | None = None

    @classmethod
    def of(cls, url: str) -> "TransitKey":
        """Read an `openbao://` address; raises SettingsFault saying what is wrong with it."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        mount, _, name = unquote(parts.path).strip("/").rpartition("/")
        if unknown := options.keys() - {"token_file", "ca", "tls"}:
            raise _wrong(f"has no option {', '.join(sorted(unknown))}")
        if not (parts.hostname and mount and name and options.get("token_file")):
            raise _wrong("lacks the host, mount, key or token_file")
        plain = options.get("tls") == "off"
        if plain and parts.hostname not in _LOCAL:
            raise _wrong("may say tls=off for a server on this machine only")
        scheme = "http" if plain else "https"
        return cls(
            f"{scheme}://{parts.netloc}",
            mount,
            name,
            Path(options["token_file"]),
            options.get("ca"),
        )


class OpenBaoKeyProvider:
    """A `KeyProvider` over one transit key of type aes256-gcm96; shared by threads."""

    def __init__(self, key: TransitKey) -> None:
        self._key = key
        self._server = _Server(key)
        self._path = f"{quote(key.mount)}/keys/{quote(key.name)}"

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `KeyProvider.wrap_many`."""
        asked = [
            {"plaintext": _text(secret), "associated_data": _text(place)} for secret, place in items
        ]
        answers = self._batched("encrypt", asked)
        if any("error" in answer for answer in answers):
            raise Unavailable("The key server could not wrap a key. See its log.")
        with _understood():
            return [_wrapped_from(answer["ciphertext"]) for answer in answers]

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `KeyProvider.unwrap_many`."""
        asked = [
            {"ciphertext": _ciphertext_of(wrapped), "associated_data": _text(place)}
            for wrapped, place in items
        ]
        answers = self._batched("decrypt", asked)
        for answer, (wrapped, _) in zip(answers, items, strict=True):
            if "error" in answer:
                raise self._why_closed(wrapped)
        with _understood():
            return [base64.b64decode(answer["plaintext"], validate=True) for answer in answers]

    def rotate(self) -> int:
        """See `KeyProvider.rotate`."""
        self.versions()  # makes the key where there is none yet
        answer = self._server.ask("POST", f"{self._path}/rotate", {}, tries=1)
        with _understood():
            return _version_from(answer["latest_version"])

    def destroy_before(self, version: int) -> Assurance:
        """See `KeyProvider.destroy_before`: the server raises both floors, then trims.

        What it says it keeps is read back: a version below the floors is in no list, and is there.
        """
        require_survivor(self.versions(), version)
        floors = {"min_decryption_version": version, "min_encryption_version": version}
        self._server.ask("POST", f"{self._path}/config", floors)
        self._server.ask("POST", f"{self._path}/trim", {"min_available_version": version})
        found = self._server.ask("GET", self._path)
        with _understood():
            oldest = int(found["min_available_version"])
        if oldest < version:
            raise Unavailable("The key server kept what it was told to destroy. See its log.")
        return Assurance.TRIMMED

    def versions(self) -> list[int]:
        """See `KeyProvider.versions`; a key that does not exist yet is made, if the token may."""
        found = self._server.ask("GET", self._path, absent_is_none=True)
        if not found:
            self._make()
            found = self._server.ask("GET", self._path)
        # Trimmed versions are gone; versions below the floor are about to go and open nothing.
        with _understood():
            return sorted(_version_from(version) for version in dict(found["keys"]))

    def _make(self) -> None:
        try:
            self._server.ask("POST", self._path, {"type": "aes256-gcm96"})
        except Refused as fault:
            raise SettingsFault(
                f"The key server has no transit key {self._key.name} and this token may not make "
                f"it. Let its administrator run `bao write -f {self._key.mount}/keys/"
                f"{self._key.name} type=aes256-gcm96`."
            ) from fault

    def _batched(self, verb: str, asked: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        path = f"{quote(self._key.mount)}/{verb}/{quote(self._key.name)}"
        answers: list[dict[str, str]] = []
        for start in range(0, len(asked), AT_ONCE):
            batch = {"batch_input": list(asked[start : start + AT_ONCE])}
            found = self._server.ask("POST", path, batch).get("batch_results", [])
            with _understood():
                answers += [dict(answer) for answer in found]
        if len(answers) != len(asked):
            raise Unavailable("The key server answered for some of the keys only. See its log.")
        return answers

    def _why_closed(self, wrapped: bytes) -> KeyDestroyed | IntegrityFault:
        """Tell a destroyed master key from damaged bytes by the versions the server holds."""
        version = master_version_of(wrapped)
        if version not in self.versions():
            return KeyDestroyed(
                f"Master key version {version} is not held any more. Nothing wrapped under it "
                "opens.",
                code="master_destroyed",
                version=version,
            )
        return _damaged(version)


class _Server:
    """Asks one server, with the token of the moment."""

    def __init__(self, key: TransitKey) -> None:
        self._base = key.base_url
        self._token = _Token(key.token_file)
        self._pool = urllib3.PoolManager(
            maxsize=_POOL, timeout=_SECONDS, retries=False, block=True, ca_certs=key.ca_file
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        tries: int = _TRIES,
        absent_is_none: bool = False,
    ) -> dict[str, Any]:
        """Return the answer's `data`; errors as the module says."""
        self._renew_if_due()
        response = self._send(method, path, body, tries)
        if response.status == 403 and self._token.read_again():
            response = self._send(method, path, body, tries)
        if response.status == 404 and absent_is_none:
            return {}
        return _answer_in(response)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, tries: int
    ) -> urllib3.BaseHTTPResponse:
        left = tries
        while True:
            left -= 1
            try:
                response = self._pool.request(
                    method,
                    f"{self._base}/v1/{path}",
                    json=body,
                    headers={"X-Vault-Token": self._token.text()},
                )
            except urllib3.exceptions.HTTPError as fault:
                if not left:
                    raise _away("does not answer") from fault
                continue
            if response.status < 500 or not left:
                return response

    def _renew_if_due(self) -> None:
        """Ask for more time once half of the token's is over; what refuses it is met later."""
        if not self._token.due_for_renewal():
            return
        seen = self._send("GET", "auth/token/lookup-self", None, 1)
        if seen.status != 200:
            self._token.renewed(None)
            return
        held = _answer_in(seen)
        if held.get("renewable") and self._token.is_known():
            answer = self._send("POST", "auth/token/renew-self", {}, 1)
            if answer.status == 200:
                with _understood():
                    self._token.renewed(int(answer.json()["auth"]["lease_duration"]))
                return
        with _understood():
            self._token.renewed(int(held["ttl"]) if "ttl" in held else None)


class _Token:
    """The token in its file, and when it should be renewed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._text = ""
        self._known = False
        self._renew_at = 0.0

    def text(self) -> str:
        """Return the token, read at first use; raises SettingsFault when the file is not there."""
        return self._text or self._read()

    def read_again(self) -> bool:
        """Read the file anew; tells whether another token stands there now."""
        before = self._text
        return self._read() != before

    def is_known(self) -> bool:
        """Tell whether the token's time has been looked up before."""
        return self._known

    def due_for_renewal(self) -> bool:
        """Tell, to one thread at a time, whether the token's time should be looked at."""
        self.text()  # the first reading sets the time anew, so it has to come before
        with self._lock:
            if time.monotonic() < self._renew_at:
                return False
            self._renew_at = time.monotonic() + _RENEW_TRY_SECONDS
            return True

    def renewed(self, seconds: int | None) -> None:
        """Note the seconds the token has left; 0 is for ever, None is not known."""
        if seconds is None:
            return
        with self._lock:
            self._known = True
            self._renew_at = time.monotonic() + (seconds / 2 if seconds else _FOR_EVER)

    def _read(self) -> str:
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise SettingsFault(
                "The token file named in CONSENT_KEY_PROVIDER or CONSENT_ESCROW_PROVIDER cannot "
                "be read. Let the key server's agent write it, and let this user read it."
            ) from fault
        with self._lock:
            if text != self._text:
                self._text, self._known, self._renew_at = text, False, 0.0
        return text


_RENEW_TRY_SECONDS = 30.0
_FOR_EVER = 86_400.0


def _answer_in(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """Return `data`; a batch with faulty items comes as 400 with its results beside.

    Only 2xx says that it was done: what redirects or refuses may say nothing besides.
    """
    if response.status == SEALED:
        raise _away("is sealed: its keepers have to unseal it")
    if response.status in (429, 472, 473) or response.status >= 500:
        raise _away("is not ready")
    if response.status in (401, 403):
        raise Refused(
            "The key server does not allow this to this process's token. "
            "See docs/operations/key-server.md for the policy each process needs.",
            code=FORBIDDEN,
        )
    with _understood():
        found = dict(response.json().get("data") or {}) if response.data else {}
    if not 200 <= response.status < 300 and "batch_results" not in found:
        raise Unavailable(
            "The key server refused the question. See that the mount and key in "
            "CONSENT_KEY_PROVIDER and CONSENT_ESCROW_PROVIDER exist.",
            status=response.status,
        )
    return found


@contextmanager
def _understood() -> Iterator[None]:
    """Read what the server said; where it is not what was asked for, raise Unavailable."""
    try:
        yield
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as fault:
        raise _away("gave no answer that can be read") from fault


def _version_from(said: object) -> int:
    """Return the number of a version; raises ValueError where it is none."""
    if _VERSION.fullmatch(str(said)) is None:
        raise ValueError("this is no version of a transit key")
    return int(str(said))


def _wrapped_from(ciphertext: str) -> bytes:
    """`vault:v7:<base64>` -> version as 4 bytes, then the server's bytes."""
    found = _CIPHERTEXT.fullmatch(ciphertext)
    if found is None:
        raise ValueError("this is no ciphertext of a transit key")
    return joined_version(int(found[1]), base64.b64decode(found[2], validate=True))


def _ciphertext_of(wrapped: bytes) -> str:
    version, body = split_version(wrapped)
    if not version:
        raise _damaged(version)  # the server reads version 0 as 1
    return f"vault:v{version}:{_text(body)}"


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def _damaged(version: int) -> IntegrityFault:
    return IntegrityFault(
        "A wrapped key does not open under its master key: it was altered, moved, or wrapped by "
        "another master key. Restore the keyring with `keys backup`.",
        code="wrapped_key_corrupt",
        version=version,
    )


def _away(how: str) -> Unavailable:
    return Unavailable(f"The key server {how}. Nothing is lost: try again once it is back.")


def _wrong(what: str) -> SettingsFault:
    return SettingsFault(f"CONSENT_KEY_PROVIDER or CONSENT_ESCROW_PROVIDER {what}. Write {_FORM}.")
