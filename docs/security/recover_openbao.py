"""Master keys in OpenBao's transit engine: what recover.py knows of a key server.

Imports nothing of ours. The address is that of the settings: `openbao://host:8200/transit/key`.
The token is in the variable BAO_TOKEN, the server's CA in the file that BAO_CACERT names, as for
the program `bao`; where they are not set, `token_file` and `ca` of the address are taken.
"""

import base64
import json
import os
import ssl
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from recover_keys import Opener, Sealed, Wrong

AT_ONCE = 200  # the server refuses JSON of more than 1,000 strings


def in_key_server(address: str) -> Opener:
    """Let the server open with whatever versions of the key it still holds."""
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    mount, _, name = parts.path.strip("/").rpartition("/")
    if not (parts.netloc and mount and name):
        raise Wrong("A key server is written openbao://host:8200/transit/key.")
    scheme = "http" if options.get("tls") == "off" else "https"
    url = f"{scheme}://{parts.netloc}/v1/{mount}/decrypt/{name}"
    headers = {"X-Vault-Token": token(options)}
    ca = os.environ.get("BAO_CACERT") or options.get("ca")
    try:
        trust = HTTPSHandler(context=ssl.create_default_context(cafile=ca))
    except OSError as fault:
        raise Wrong(f"The key server's CA, {ca}, cannot be read.") from fault
    ask = build_opener(ProxyHandler({}), trust).open  # no proxy is to see a token or a key

    def opener(sealed: Sequence[Sealed]) -> list[bytes | None]:
        batches = (sealed[start : start + AT_ONCE] for start in range(0, len(sealed), AT_ONCE))
        asked = (Request(url, question(batch), headers) for batch in batches)  # noqa: S310
        return [key for request in asked for key in answers(sent(ask, request))]

    return opener


def token(options: dict[str, str]) -> str:
    """Return the token to ask with."""
    if found := os.environ.get("BAO_TOKEN"):
        return found
    if "token_file" not in options:
        raise Wrong("Put a token of the key server into the variable BAO_TOKEN.")
    return Path(options["token_file"]).read_text().strip()


def question(batch: Sequence[Sealed]) -> bytes:
    """Write shard keys as the server does: `vault:v`, the version, and the rest in base64."""
    texts = [
        {
            "ciphertext": f"vault:v{int.from_bytes(wrapped[:4], 'big')}:{base64_of(wrapped[4:])}",
            "associated_data": base64_of(place),
        }
        for wrapped, place in batch
    ]
    return json.dumps({"batch_input": texts}).encode()


def base64_of(raw: bytes) -> str:
    """Return bytes as JSON takes them."""
    return base64.b64encode(raw).decode()


def sent(ask: Callable[..., HTTPResponse], request: Request) -> bytes:
    """Return the body of an answer."""
    try:
        with ask(request, timeout=60) as answer:
            return answer.read()
    except HTTPError as fault:
        if fault.code == 400:  # some do not open: the answers stand there all the same
            return fault.read()
        raise Wrong(f"The key server answered {fault.code}: see what the token may do.") from fault
    except (OSError, HTTPException) as fault:
        raise Wrong(f"The key server cannot be reached: {fault}.") from fault


def answers(body: bytes) -> list[bytes | None]:
    """Return the keys; None for what this master key does not open, or not any more."""
    try:
        texts = [one.get("plaintext") for one in json.loads(body)["data"]["batch_results"]]
        return [base64.b64decode(text) if text else None for text in texts]
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Wrong("The key server knows no such key: correct the address.") from fault
