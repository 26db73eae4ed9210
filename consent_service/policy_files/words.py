"""The words of a form: a small part of Markdown that is pleasant to read and to translate.

    # Title
    Paragraphs of introduction.

    ## Labels            what the page says around every statement, `- key: words`
    ## Passages          wording chosen by what the organisation decided, `- key: words`
    ## CARE.FILM.SELF    one section per statement code
    The wording an adult agrees to.

    - child: the wording agreed to for a child
    - why: why we ask
    - no: what happens if the answer is no
    - withdraw: what withdrawing it later leads to
    - choice birth_mother: the words of one choice

Rules kept here: an indented line continues the entry above it; anything else is a fault with its
line, so that no words are lost in silence.
"""

import re
from dataclasses import dataclass, field

from consent_service.policy_files.faults import Faults

ENTRY = re.compile(r"- ([a-z_.]+(?: [a-z_]+)?): (.+)")
LABELS = "Labels"
PASSAGES = "Passages"


@dataclass
class Section:
    """One `##` section: where it starts, its paragraphs, and its entries with their lines."""

    name: str
    line: int
    paragraphs: list[str] = field(default_factory=list)
    entries: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def wording(self) -> str:
        """Return the paragraphs, a blank line between them."""
        return "\n\n".join(self.paragraphs)


@dataclass(frozen=True)
class WordsFile:
    """A parsed file: its title, introduction and sections by name."""

    file: str
    title: str
    introduction: str
    sections: dict[str, Section]


def parse_words(file: str, text: str, faults: Faults) -> WordsFile:
    """Return the parsed file; what cannot be read is noted in `faults`."""
    return _Reader(file, faults).read(text)


class _Reader:
    def __init__(self, file: str, faults: Faults) -> None:
        self.file, self.faults = file, faults
        self.title = ""
        self.section = self.introduction = Section("", 1)
        self.sections: dict[str, Section] = {}
        self.open_entry: str | None = None
        self.in_paragraph = False

    def read(self, text: str) -> WordsFile:
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
            self._take(number, line.rstrip())
        if not self.title:
            self.faults.add(self.file, 1, "the file has no title, expected `# Title` first")
        return WordsFile(self.file, self.title, self.introduction.wording, self.sections)

    def _take(self, number: int, line: str) -> None:
        if not line:
            self.open_entry, self.in_paragraph = None, False
        elif line.startswith("## "):
            self._start_section(number, line[3:].strip())
        elif line.startswith("# "):
            self._set_title(number, line[2:].strip())
        elif line.startswith("- "):
            self._start_entry(number, line)
        elif line.startswith("  ") and self.open_entry:
            self.section.entries[self.open_entry] += f" {line.strip()}"
        elif line.startswith((" ", "#", "*", ">", "|")):
            self._fault(number, "the line cannot be read, expected a heading, words or `- key: `")
        elif self.open_entry:
            self._fault(number, "the line continues an entry, expected two spaces in front")
        else:
            self._add_words(line)

    def _set_title(self, number: int, title: str) -> None:
        if self.title:
            self._fault(number, "there is a second title, expected one `# Title`")
        self.title = title

    def _start_section(self, number: int, name: str) -> None:
        if name in self.sections:
            self._fault(number, f"the section {name} stands twice, expected it once")
        self.section = self.sections[name] = Section(name, number)
        self.open_entry, self.in_paragraph = None, False

    def _start_entry(self, number: int, line: str) -> None:
        match = ENTRY.fullmatch(line)
        if match is None or self.section is self.introduction:
            self._fault(number, "the entry cannot be read, expected `- key: words` in a section")
            return
        key, words = match.groups()
        if key in self.section.entries:
            self._fault(number, f"`{key}` stands twice in {self.section.name}, expected it once")
        self.section.entries[key], self.section.lines[key] = words, number
        self.open_entry = key

    def _add_words(self, line: str) -> None:
        paragraphs = self.section.paragraphs
        if self.in_paragraph:
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
        self.in_paragraph = True

    def _fault(self, number: int, sentence: str) -> None:
        self.faults.add(self.file, number, sentence)
