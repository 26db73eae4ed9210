"""A scan of a signed paper, made harmless in a process of its own before anything keeps it.

Rules kept here: nothing of it is parsed in this process, nothing is written to any file, and what
is refused is refused with a sentence that says what to do.
"""

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from consent_service.documents.confine import Limits
from consent_service.documents.press import command_for, environment
from consent_service.errors import InvalidInput, TooLarge, Unavailable

LARGEST_SCAN = 24 * 1024 * 1024
"""Bytes of all files of a paper, as they are handed over."""
MOST_FILES = 20
SECONDS = 30.0
LIMITS = Limits(cpu_seconds=15)
_LENGTH = struct.Struct(">I")
_CHILD = "consent_service.documents.scan_child"
_KINDS = {b"P": "application/pdf", b"J": "image/jpeg"}
SENTENCES = {
    "none": "Choose the scan, or a photo of each page of the paper.",
    "locked": "This PDF is locked with a password. Scan the paper again without one.",
    "pages": "A scan has 1 to 20 pages. Scan only the form that was signed.",
    "too_large": "This picture is larger than we take. Scan the paper at 300 dots per inch.",
    "unreadable": "This file cannot be read. Choose a PDF, a JPEG or a PNG of the paper.",
}


@dataclass(frozen=True)
class CleanScan:
    """A scan that can be kept and shown: a PDF, or a JPEG."""

    media_type: str
    content: bytes


def clean_scan(files: Sequence[bytes]) -> CleanScan:
    """Return a scan made anew, without anything that acts or tells of where it was made.

    `files` are its pages in order: a PDF, or a picture of each. Takes a second. Raises TooLarge,
    InvalidInput (`scan`) and Unavailable.
    """
    if sum(map(len, files)) > LARGEST_SCAN:
        raise TooLarge("This scan is larger than 24 MB. Scan it in grey.", max_bytes=LARGEST_SCAN)
    if not 1 <= len(files) <= MOST_FILES:
        raise _refusal("none" if not files else "pages")
    try:
        child = subprocess.run(  # noqa: S603 our own interpreter, our own words
            command_for(_CHILD, LIMITS),
            input=b"".join(_LENGTH.pack(len(file)) + file for file in files),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            cwd="/",
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise _refusal("unreadable") from None
    except OSError as refused:
        raise Unavailable("Scans cannot be looked at just now. Try again later.") from refused
    kind, cleaned = child.stdout[:1], child.stdout[1:]
    if child.returncode != 0 or kind not in _KINDS:
        raise _refusal(cleaned.decode("ascii", "replace") if kind == b"F" else "unreadable")
    return CleanScan(_KINDS[kind], cleaned)


def _refusal(reason: str) -> InvalidInput:
    sentence = SENTENCES.get(reason, SENTENCES["unreadable"])
    return InvalidInput(sentence, {"scan": sentence}, reason=reason)
