"""Print a paper: `render_pdf` gives the bytes of a PDF that is made in memory and never a file.

Rules kept here:
  * PDF/A-3a and PDF/UA-1: tagged, all fonts inside, readable in decades and by a screen reader;
  * the same paper, identifier and attachments give the same bytes;
  * the words of a consent are printed only if their digest is the one in the act (rule 2), and
    they travel inside the copy, so that a stranger can compute it again;
  * nothing is fetched from anywhere, and what cannot be printed in time is refused.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import singledispatch
from typing import Any

from consent_service.documents.caps import check_caps
from consent_service.documents.content import (
    ConsentCopy,
    DestructionCertificate,
    LeafletPaper,
    Paper,
    PdfAttachment,
    SubjectAccessPaper,
    SummaryPaper,
)
from consent_service.documents.goal_plot import day_by_day, in_words, plot
from consent_service.documents.leaflet_text import read_leaflet
from consent_service.documents.press import Press
from consent_service.documents.signature import is_signature_svg
from consent_service.errors import IntegrityFault, InvalidInput

WORDS_FILE = "words.txt"
CERTIFICATE_FILE = "certificate.json"
RECORDS_FILE = "records.json"

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_PRESS = Press()


def render_pdf(
    paper: Paper,
    *,
    identifier: str,
    attachments: Sequence[PdfAttachment] = (),
    language: str = "en",
    large_print: bool = False,
) -> bytes:
    """Return the PDF of `paper`.

    `identifier` names this document for ever (an act's or order's id); `language` is the BCP 47
    tag of the words in it. Takes about 0.2 s, and 1 s more for the first document of a process.
    Call it outside transactions. Raises TooLarge, InvalidInput (characters that cannot be
    printed), IntegrityFault (the words are not those agreed to) and Unavailable.
    """
    if not _LANGUAGE.fullmatch(language):
        raise InvalidInput("The document cannot be printed.", {"language": "Give a language tag."})
    files = [*_own_files(paper), *attachments]
    check_caps(paper, files)
    job = {
        "template": paper.kind.value,
        "values": _values(paper),
        "language": language,
        "large_print": large_print,
        "identifier": hashlib.sha256(f"{paper.kind.value} {identifier}".encode()).hexdigest()[:32],
        "pictures": dict(_pictures(paper)),
        "attached": [_without_content(file) for file in files],
    }
    frames = [json.dumps(job, default=_as_text).encode(), *(file.content for file in files)]
    return _PRESS.print(frames)


def start_printing() -> None:
    """Start the printing process now; a web or worker process may call this when it starts."""
    _PRESS.warm_up()


def stop_printing() -> None:
    """End the printing process; the next document starts another."""
    _PRESS.close()


@singledispatch
def _own_files(paper: Paper) -> Iterator[PdfAttachment]:
    """Yield the files that belong to this kind of paper."""
    del paper
    return iter(())


@_own_files.register
def _(paper: ConsentCopy) -> Iterator[PdfAttachment]:
    shown = paper.shown_text.encode()
    if hashlib.sha256(shown).hexdigest() != paper.shown_sha256:
        raise IntegrityFault(
            "The words of this consent are not the ones that were agreed to. "
            "Do not print it; tell the IG officer.",
            reference=paper.head.reference,
        )
    yield PdfAttachment(
        name=WORDS_FILE,
        media_type="text/plain",
        content=shown,
        relationship="Source",
        description="The exact text that was shown; its SHA-256 is printed in the document",
    )


@_own_files.register
def _(paper: DestructionCertificate) -> Iterator[PdfAttachment]:
    yield PdfAttachment(
        name=CERTIFICATE_FILE,
        media_type="application/json",
        content=paper.body.encode(),
        relationship="Source",
        description="The signed certificate",
    )


@_own_files.register
def _(paper: SubjectAccessPaper) -> Iterator[PdfAttachment]:
    yield PdfAttachment(
        name=RECORDS_FILE,
        media_type="application/json",
        content=paper.body.encode(),
        relationship="Data",
        description="Everything in this document and the full words, for a computer to read",
    )


def _values(paper: Paper) -> dict[str, Any]:
    """Return what the template may use: the paper's fields, JSON only."""
    values = dataclasses.asdict(paper)
    for name in ("shown_text", "body"):
        values.pop(name, None)
    if isinstance(paper, SummaryPaper):
        values["days"] = [day_by_day(goal.ratings) for goal in paper.goals]
        values["ways"] = [in_words(goal.ratings) for goal in paper.goals]
    if isinstance(paper, LeafletPaper):
        del values["text"]
        values["leaflet"] = dataclasses.asdict(read_leaflet(paper.text, paper.control_line))
    return values


def _pictures(paper: Paper) -> Iterator[tuple[str, str]]:
    if isinstance(paper, ConsentCopy) and paper.signed.drawing:
        if not is_signature_svg(paper.signed.drawing):
            raise InvalidInput(
                "The document cannot be printed.",
                {"drawing": "This is no drawing of ours. Make it from the strokes again."},
            )
        yield "signature", paper.signed.drawing
    if isinstance(paper, SummaryPaper):
        for place, goal in enumerate(paper.goals):
            if drawn := plot(goal.ratings):
                yield f"goal-{place}", str(drawn)


def _without_content(file: PdfAttachment) -> dict[str, str]:
    return {
        "name": file.name,
        "media_type": file.media_type,
        "relationship": file.relationship,
        "description": file.description,
    }


def _as_text(value: object) -> str:
    """Return a day or an aware instant in ISO 8601."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
