"""Read a leaflet as a team keeps it: a text file with its control line at the end.

Pure: takes bytes, gives a draft. The first line is the title, the last line that is not empty the
control line (`L1111, V1, 14/09/2020 (Archive: 14/09/2023)`, day/month/year), what stands between
is the body.

Rules kept here:
  * every byte is kept: what is registered is the file itself, the parts are only read from it;
  * a file whose version, dates or text cannot be trusted is refused, with the line to look at;
  * a quotation mark that is never closed is somebody's slip, so it is kept and noted;
  * quotes are listed, because printing somebody's words needs their permission (rule 18).
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import NoReturn

from consent_service.domain.leaflets import LeafletVersion
from consent_service.errors import PolicyFault

MAX_BYTES = 1024 * 1024
CONTROL_FORM = "CODE, V1, 14/09/2020 (Archive: 14/09/2023)"
_DAY = r"(\d{1,2}/\d{1,2}/\d{4})"
CONTROL_LINE = re.compile(
    rf"([A-Za-z][A-Za-z0-9-]{{0,31}}),\s*V([1-9]\d{{0,3}}),\s*{_DAY}\s*\(Archive:\s*{_DAY}\)"
)
BULLET = re.compile(r"\s*[-*•]\s")
OPENING, CLOSING, STRAIGHT = "“", "”", '"'


@dataclass(frozen=True)
class LeafletDraft:
    """What a leaflet file says. `raw` is the file, byte for byte; `notes` are for a person."""

    title: str
    body: str
    code: str
    version: int
    issued_on: date
    archive_on: date
    quotes: tuple[str, ...]
    notes: tuple[str, ...]
    raw: bytes

    @property
    def text(self) -> str:
        """Return the whole file as text; a mark of byte order in front is no part of it."""
        return self.raw.decode("utf-8-sig")

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the file, 64 lower-case hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()

    def version_of(self, owner: str, language: str) -> LeafletVersion:
        """Return the version this file stands for, its words in `language`."""
        return LeafletVersion(
            code=self.code,
            version=self.version,
            issued_on=self.issued_on,
            archive_on=self.archive_on,
            owner=owner,
            title=self.title,
            texts={language: self.text},
            quotes=self.quotes,
        )


def parse_leaflet_file(raw: bytes, name: str = "leaflet") -> LeafletDraft:
    """Return the draft that a leaflet file holds.

    `name` is what the file is called in a refusal. Raises PolicyFault, `name:line: what is wrong,
    what was expected`: empty, too large, not UTF-8 text, no control line, a day that does not
    exist, or an archive date that is not after the issue date.
    """
    lines = _lines(raw, name)
    filled = [number for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        _refuse(name, 1, "the file is empty", "a title, words and a control line")
    first, last = filled[0], filled[-1]
    control = CONTROL_LINE.fullmatch(lines[last - 1].strip())
    if control is None:
        _refuse(name, last, "the last line is no control line", f"such as {CONTROL_FORM}")
    if len(filled) < 3:
        _refuse(
            name, first, "the leaflet has no words", "a title and words before the control line"
        )
    issued_on, archive_on = (_day(control[group], name, last) for group in (3, 4))
    if archive_on <= issued_on:
        _refuse(name, last, "the archive date is not after the issue date", "a later archive date")
    quotes, notes = _quotes(lines)
    return LeafletDraft(
        title=lines[first - 1].strip(),
        body="\n".join(lines[first : last - 1]).strip("\n"),
        code=control[1],
        version=int(control[2]),
        issued_on=issued_on,
        archive_on=archive_on,
        quotes=quotes,
        notes=notes,
        raw=raw,
    )


def _lines(raw: bytes, name: str) -> list[str]:
    if len(raw) > MAX_BYTES:
        _refuse(name, 1, "the file is larger than 1 MiB", "a leaflet of plain text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad_line = error.object[: error.start].count(b"\n") + 1
        _refuse(name, bad_line, "the file is not UTF-8", "plain text saved as UTF-8")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if "\x00" in line:
            _refuse(name, number, "the line holds a zero byte", "plain text")
    return lines


def _day(written: str, name: str, line: int) -> date:
    day, month, year = (int(part) for part in written.split("/"))
    try:
        return date(year, month, day)
    except ValueError:
        _refuse(name, line, f"{written} is no day of the calendar", "a real day, day/month/year")


def _refuse(name: str, line: int, what: str, expected: str) -> NoReturn:
    raise PolicyFault(f"{name}:{line}: {what}, expected {expected}", line=line)


def _quotes(lines: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    reader = _QuoteReader()
    for number, line in enumerate(lines, start=1):
        reader.take(number, line)
    reader.give_up()
    return tuple(reader.quotes), tuple(reader.notes)


class _QuoteReader:
    """Follows quotation marks through the lines; a quote ends with its paragraph or bullet."""

    def __init__(self) -> None:
        self.quotes: list[str] = []
        self.notes: list[str] = []
        self.opened_on: int | None = None
        self.words = ""

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        if not line.strip() or BULLET.match(line):
            self.give_up()
        if self.opened_on is not None:
            self.words += " "
        for character in line.strip():
            self._character(number, character)

    def give_up(self) -> None:
        """Keep a quote that was opened and never closed, with a note."""
        if self.opened_on is None:
            return
        self.notes.append(
            f"line {self.opened_on}: a quotation mark is opened and never closed; kept as it is"
        )
        self._close()

    def _character(self, number: int, character: str) -> None:
        is_open = self.opened_on is not None
        if character == OPENING or (character == STRAIGHT and not is_open):
            self.give_up()
            self.opened_on = number
        elif character in (CLOSING, STRAIGHT):
            if is_open:
                self._close()
            else:
                self.notes.append(
                    f"line {number}: a quotation mark is closed and never opened; kept as it is"
                )
        elif is_open:
            self.words += character

    def _close(self) -> None:
        words = self.words.strip()
        if words:
            self.quotes.append(words)
        self.opened_on, self.words = None, ""
