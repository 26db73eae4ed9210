"""Encrypt or decrypt a file with pyrage (age in Rust): `encrypt|decrypt FROM TO IDENTITY_FILE`."""

import sys
from pathlib import Path

import pyrage


def main(verb: str, source: str, target: str, identity_file: str) -> None:
    """Do it with the library's own whole-file calls."""
    lines = Path(identity_file).read_text().splitlines()
    identity = pyrage.x25519.Identity.from_str(lines[-1])
    if verb == "encrypt":
        pyrage.encrypt_file(source, target, [identity.to_public()])
    else:
        pyrage.decrypt_file(source, target, [identity])


if __name__ == "__main__":
    main(*sys.argv[1:])
