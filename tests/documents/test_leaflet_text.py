"""A leaflet's words become headings and lists, and none is lost."""

import pytest

from consent_service.documents.leaflet_text import Block, read_leaflet
from tests.documents.papers import CONTROL_LINE, LEAFLET_TEXT

PLAIN = f"""What is this?
This explains it in a sentence that is long enough.
What will happen?
You meet. You talk about what matters:
- one thing
- another thing
Feedback from parents
\u201cIt helped.\u201d
{CONTROL_LINE}
"""


def test_a_plain_text_shows_its_headings_and_lists() -> None:
    """A leaflet typed without any markup still has a shape that a reader can follow."""
    words = read_leaflet(PLAIN, CONTROL_LINE)

    assert words.title == "What is this?"
    assert [block.kind for block in words.blocks] == [
        "paragraph",
        "heading",
        "paragraph",
        "list",
        "heading",
        "paragraph",
    ]
    assert words.blocks[3].lines == ("one thing", "another thing")


def test_a_markdown_text_joins_the_lines_of_a_paragraph() -> None:
    """A line break in the file is no line break on the page."""
    words = read_leaflet(LEAFLET_TEXT, CONTROL_LINE)

    assert words.title == "What is video interaction guidance?"
    assert (
        words.blocks[0]
        .lines[0]
        .endswith("small movements. Video interaction guidance helps you see it.")
    )
    assert [block.kind for block in words.blocks] == [
        "paragraph",
        "heading",
        "paragraph",
        "list",
        "heading",
        "paragraph",
    ]


@pytest.mark.parametrize("text", [PLAIN, LEAFLET_TEXT, PLAIN.replace(CONTROL_LINE, "")])
def test_no_word_of_a_leaflet_is_lost_or_moved(text: str) -> None:
    """A leaflet is a controlled document: what was approved is what is printed."""
    words = read_leaflet(text, CONTROL_LINE)

    printed = " ".join([words.title, *(line for block in words.blocks for line in block.lines)])
    approved = text.replace(CONTROL_LINE, "").replace("#", "").replace("- ", "")
    assert printed.split() == approved.split()


@pytest.mark.parametrize("text", ["", "\n\n", CONTROL_LINE])
def test_a_leaflet_without_words_is_empty(text: str) -> None:
    """Control data whose words were never attached is no fault of the printer."""
    words = read_leaflet(text, CONTROL_LINE)

    assert (words.title, words.blocks) == ("", ())


def test_numbered_steps_are_a_list_without_marks_of_emphasis() -> None:
    """A parent reads steps, not asterisks; a step may run over several lines."""
    text = "# T\n\n1. **We meet.** You say\n   what matters.\n2. You decide.\n"

    read = read_leaflet(text, "no control line")

    assert read.blocks == (Block("steps", ("We meet. You say what matters.", "You decide.")),)
