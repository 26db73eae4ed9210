"""Encrypt or decrypt a file with Fernet, as its manual shows: `encrypt|decrypt FROM TO`."""

import base64
import sys
from pathlib import Path

from cryptography.fernet import Fernet


def main(verb: str, source: str, target: str) -> None:
    """Do it whole in memory: Fernet knows no other way."""
    cipher = Fernet(base64.urlsafe_b64encode(bytes(range(32))))
    work = cipher.encrypt if verb == "encrypt" else cipher.decrypt
    Path(target).write_bytes(work(Path(source).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
