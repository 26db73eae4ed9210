"""A leaflet's plain words as headings, paragraphs and lists.

The file is kept byte for byte, so its structure is read, not written. The first line is the title
and the last the control line. In a Markdown text `#` starts a heading and a blank line ends a
paragraph; in a plain one every line is a paragraph of its own, and a short line that ends no
sentence, or asks a question, is a heading. A line that starts with `- ` is a list item in both; in
Markdown `1. ` starts a numbered step, and the marks of emphasis are left out.
"""

import re
from dataclasses import dataclass

_HEADING = re.compile(r"^#{1,4}\s+")
_STEP = re.compile(r"^\d{1,2}\.\s+")
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
_BULLET = re.compile(r"^[-*•]\s+")
_LONGEST_HEADING = 70


@dataclass(frozen=True)
class Block:
    """A `heading`, a `paragraph`, a `list` or `steps`; the last two have one line per item."""

    kind: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class LeafletWords:
    """The title, and the blocks between it and the control line."""

    title: str
    blocks: tuple[Block, ...]


def read_leaflet(text: str, control_line: str) -> LeafletWords:
    """Return title and blocks of a leaflet's text; every word of it stays, in order."""
    lines = text.strip().splitlines()
    if lines and lines[-1].strip() == control_line:
        lines.pop()
    if not lines:
        return LeafletWords("", ())
    title, rest = _HEADING.sub("", lines[0].strip()), lines[1:]
    markdown = any(_HEADING.match(line) for line in lines)
    return LeafletWords(title, _joined(_markdown(rest) if markdown else _plain(rest)))


def _plain(lines: list[str]) -> list[Block]:
    return [_plain_block(line.strip()) for line in lines if line.strip()]


def _plain_block(line: str) -> Block:
    if _BULLET.match(line):
        return Block("list", (_BULLET.sub("", line),))
    short = len(line) <= _LONGEST_HEADING
    return Block(
        "heading" if short and (line.endswith("?") or line[-1].isalnum()) else "paragraph", (line,)
    )


def _markdown(lines: list[str]) -> list[Block]:
    blocks: list[Block] = []
    open_block = False
    for line in (line.strip() for line in lines):
        if _HEADING.match(line):
            blocks.append(Block("heading", (_HEADING.sub("", line),)))
        elif _BULLET.match(line):
            blocks.append(Block("list", (_BULLET.sub("", line),)))
        elif _STEP.match(line):
            blocks.append(Block("steps", (_STEP.sub("", line),)))
        elif line and open_block:
            blocks[-1] = Block(blocks[-1].kind, (f"{blocks[-1].lines[0]} {line}",))
        elif line:
            blocks.append(Block("paragraph", (line,)))
        open_block = bool(line) and not _HEADING.match(line)
    return [Block(b.kind, tuple(_EMPHASIS.sub(r"\1", line) for line in b.lines)) for b in blocks]


def _joined(blocks: list[Block]) -> tuple[Block, ...]:
    """Return the blocks with list items that follow each other made one list."""
    joined: list[Block] = []
    for block in blocks:
        if joined and block.kind == joined[-1].kind and block.kind in ("list", "steps"):
            joined[-1] = Block(block.kind, joined[-1].lines + block.lines)
        else:
            joined.append(block)
    return tuple(joined)
