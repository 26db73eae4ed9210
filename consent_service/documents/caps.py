"""How large a document may be, checked before anything is printed.

Typesetting costs more than linearly in rows and paragraphs (2,000 table rows take seconds), so
what no reader could use is refused with a sentence instead of keeping a machine busy.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import date

from consent_service.documents.content import Paper, PdfAttachment
from consent_service.errors import InvalidInput, TooLarge

MAX_ROWS = 2_000
MAX_TEXT_BYTES = 250_000
MAX_WORD = 500
MAX_DEPTH = 12
MAX_ATTACHED_BYTES = 16 * 1024 * 1024

NOT_SET = frozenset({"body", "drawing", "shown_text"})
"""Fields that are attached or checked by themselves, and not set as running text."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff"
    "\uac00-\ud7af\uf900-\uffef\U00020000-\U0003ffff"
)
"""Scripts written without spaces: a line may break anywhere, so their length costs nothing."""

_LONG_WORD = re.compile(rf"[^\s{_UNSPACED}]{{{MAX_WORD + 1}}}")


def check_caps(paper: Paper, attachments: Sequence[PdfAttachment]) -> None:
    """Refuse a paper that is too large to print, or holds characters that cannot be printed.

    Raises TooLarge over 2,000 rows, 250 KB of text, one word over 500 characters, or 16 MiB of
    attachments; InvalidInput for control characters, naming the field.
    """
    count = _Count()
    for field in dataclasses.fields(paper):
        count.add(getattr(paper, field.name), field.name, depth=1)
    if count.rows > MAX_ROWS:
        raise TooLarge(
            f"A document has at most {MAX_ROWS} rows. Print part of it, or use the export.",
            rows=count.rows,
        )
    if count.text_bytes > MAX_TEXT_BYTES:
        raise TooLarge(
            f"A document has at most {MAX_TEXT_BYTES // 1000} KB of text. Shorten it.",
            bytes=count.text_bytes,
        )
    attached = sum(len(attachment.content) for attachment in attachments)
    if attached > MAX_ATTACHED_BYTES:
        raise TooLarge("The files attached to a document come to at most 16 MiB.", bytes=attached)


class _Count:
    """Rows and bytes seen so far."""

    def __init__(self) -> None:
        self.rows = 0
        self.text_bytes = 0

    def add(self, value: object, field: str, *, depth: int) -> None:
        """Count one value of the paper, and what it holds."""
        if depth > MAX_DEPTH:
            raise TooLarge("A document's content is nested too deep to print.", field=field)
        if isinstance(value, str):
            self._add_text(value, field)
        elif dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                self.add(getattr(value, inner.name), inner.name, depth=depth + 1)
        elif isinstance(value, Mapping | Sequence):
            self._add_all(value, field, depth)
        elif not isinstance(value, date | int | None):
            raise InvalidInput("The document cannot be printed.", {field: "This is not text."})

    def _add_all(
        self, values: Mapping[object, object] | Sequence[object], field: str, depth: int
    ) -> None:
        self.rows += len(values)
        if self.rows > MAX_ROWS:
            return
        inner = values.values() if isinstance(values, Mapping) else values
        for value in inner:
            self.add(value, field, depth=depth + 1)

    def _add_text(self, text: str, field: str) -> None:
        if _UNPRINTABLE.search(text):
            raise InvalidInput(
                "The document cannot be printed.",
                {field: "This has characters that cannot be printed. Type it again."},
            )
        if field in NOT_SET:
            return
        self.text_bytes += len(text.encode())
        self.rows += text.count("\n")
        if _LONG_WORD.search(text):
            raise TooLarge(
                f"A word has at most {MAX_WORD} characters. Put spaces in it.", field=field
            )
