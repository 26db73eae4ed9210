"""Recompute the digest of a consent copy from the words that the PDF itself carries.

    python verify_consent_copy.py COPY.pdf

Imports nothing of the service: Debian's poppler-utils takes the attached words out and reads what
is printed. Exit code 0 when the digest of the attached words stands on the paper, 1 when not.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def attached(copy: Path) -> dict[str, bytes]:
    """Return every file that the PDF carries, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["pdfdetach", "-saveall", "-o", folder, str(copy)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  (poppler)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def printed(copy: Path) -> str:
    """Return what is printed, without the spaces and line ends that typesetting adds."""
    command = ["pdftotext", str(copy), "-"]
    text = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603  (poppler)
    return re.sub(r"\s", "", text.decode())


def main(copy: Path) -> int:
    """Say which attached file the printed digest is of."""
    digests = {hashlib.sha256(content).hexdigest(): n for n, content in attached(copy).items()}
    found = [digest for digest in digests if digest in printed(copy)]
    for digest in found:
        print(f"{digest}  {digests[digest]}")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
