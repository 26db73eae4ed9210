"""Open a film without the service: from its blob, its sidecar, a keyring and the master keys.

    python recover.py DATA_FOLDER ASSET PURPOSE > film.mp4
    python recover.py --sidecar FILE --blob FILE --keyring KEYRING --masters MASTERS \\
        PURPOSE > film.mp4

DATA_FOLDER may be a folder of `backups create` as well: what it lacks is named with the options.
KEYRING is its SQLite file, its postgresql:// address, what pg_dump makes of it, or a key backup
that age has opened. A pipe is a hyphen, and leaves no key on a disk:
    age -d -i backup.key keys.age | python recover.py DATA_FOLDER ASSET PURPOSE --keyring -
MASTERS is a folder of master-*.key, or openbao://host:8200/transit/key with a token in BAO_TOKEN
and the server's CA in BAO_CACERT; say it twice where escrow is elsewhere. A key backup needs none.

For a disaster, and as the proof of what destroying keys does: after a withdrawal no key that is
left opens, and after a rotation not even a copy of the keyring does. A key backup from before does,
until it is deleted on its seventh day. Imports nothing of ours; needs the two files beside it.
Formats: C2SP chunked-encryption (Cobblestone-256), HKDF (RFC 5869), AES-256-GCM.
Exit code 1: the film does not open. Exit code 2: something was not as it has to be asked for.
"""

import argparse
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

try:
    from cryptography.cobblestone import Cobblestone256Decryptor
except ImportError:
    sys.exit("This needs the Python library cryptography, version 50 or newer.")
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from recover_keys import Wrong, every_key, in_folder, opened
from recover_openbao import in_key_server

KINDS = {"recording": 1, "clip": 2, "still": 3}
SIDECAR = "consent-service/sidecar/v1"
PIECE = 2**20


class Gone(Exception):
    """The film does not open; the text says why, in one sentence."""


def data_key(sidecar: dict[str, Any], purpose: str, keys: dict[str, bytes]) -> bytes:
    """Unwrap a film's data key; raises Gone when a key that it needs is."""
    wraps = {wrap["purpose"]: wrap for wrap in sidecar["wraps"]}
    if purpose not in wraps:
        raise Wrong(f"The sidecar has no purpose {purpose}, but: {', '.join(wraps) or 'none'}.")
    ids, name = sorted(wraps[purpose]["keys"]), purpose.encode()
    needed = [sidecar["asset_key"], *ids]
    if missing := [key for key in needed if key not in keys]:
        counted = f"Of {len(needed)} keys that the film needs, {len(missing)} are gone"
        raise Gone(f"{counted}, or under other master keys than those named.")
    parts = (b"consent-service/kek/v1\0", bytes.fromhex(sidecar["asset"]))
    numbers = sidecar["generation"].to_bytes(4, "big"), len(name).to_bytes(2, "big")
    info = b"".join((*parts, *numbers, name, len(ids).to_bytes(2, "big")))
    info += b"".join(bytes.fromhex(key) for key in ids)
    secrets = b"".join(keys[key] for key in needed)
    kek = HKDF(SHA256(), 32, salt=b"", info=info).derive(secrets)
    found = opened(kek, base64.b64decode(wraps[purpose]["wrapped"]), info)
    if found is None:
        raise Gone("The keys do not open what the sidecar holds.")
    return found


def film(sidecar: dict[str, Any], stored: BinaryIO, key: bytes) -> Iterator[bytes]:
    """Decrypt a stored object, each piece when it has been verified; raises Gone."""
    place = bytes([KINDS[sidecar["kind"]], 0]) + bytes.fromhex(sidecar["asset"])
    context = b"consent-service/film/v1\0" + place + sidecar["generation"].to_bytes(4, "big")
    decryptor = Cobblestone256Decryptor(key, context)
    try:
        while piece := stored.read(PIECE):
            yield decryptor.update(piece)
        yield decryptor.finalize()
    except InvalidTag:
        raise Gone("The blob is another's, altered or cut: what was written is no film.") from None


def sidecar_in(path: Path) -> dict[str, Any]:
    """Read a sidecar."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != SIDECAR:
        raise Wrong(f"{path} is no sidecar.")
    return found


class Arguments(argparse.ArgumentParser):
    """Says in one sentence what is wrong with them."""

    def error(self, message: str) -> NoReturn:
        """See ArgumentParser.error."""
        raise Wrong(f"{message} (--help says how).")


def asked() -> argparse.Namespace:
    """Read the arguments; what a data folder has need not be named."""
    usage = "recover.py [options] [DATA_FOLDER ASSET] PURPOSE > film.mp4"
    raw = argparse.RawDescriptionHelpFormatter
    parser = Arguments(usage=usage, description=__doc__, formatter_class=raw)
    parser.add_argument("words", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--sidecar", type=Path)
    parser.add_argument("--blob", type=Path, help="default: beside the sidecar, under its name")
    parser.add_argument("--keyring")
    parser.add_argument("--masters", action="append", default=[])
    found = parser.parse_intermixed_args()
    *place, found.purpose = found.words
    if len(place) == 2:
        folder, asset = Path(place[0]), place[1]
        found.sidecar = found.sidecar or folder / "film" / asset[:2] / f"{asset}.json"
        found.keyring = found.keyring or str(folder / "keyring" / "keyring.sqlite3")
        there = [path for path in (folder / "master", folder / "escrow") if path.is_dir()]
        found.masters = found.masters or [str(path) for path in there]
    elif place or not (found.sidecar and found.keyring):
        parser.error("say DATA_FOLDER ASSET PURPOSE, or --sidecar, --keyring and PURPOSE")
    return found


def main() -> None:
    """Write the film in the clear to standard output."""
    wanted = asked()
    sidecar = sidecar_in(wanted.sidecar)
    beside = wanted.sidecar.with_name(f"{sidecar['asset']}.{sidecar['generation']}")
    masters = [
        in_key_server(name) if name.startswith("openbao:") else in_folder(name)
        for name in wanted.masters
    ]
    with (wanted.blob or beside).open("rb") as stored:
        key = data_key(sidecar, wanted.purpose, every_key(wanted.keyring, masters))
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            out.writelines(film(sidecar, stored, key))


if __name__ == "__main__":
    try:
        main()
    except Gone as fault:
        sys.exit(str(fault))
    except (Wrong, OSError) as fault:
        read = isinstance(fault, OSError) and f"{fault.filename or 'film'}: {fault.strerror}."
        print(read or fault, file=sys.stderr)
        sys.exit(2)
