"""What somebody needs to be told so that they understand (glossary: information needs). Pure.

A small set that pages know and can act on, and free words for everything else. Kept as codes with
words: `yes` where the code says it all.
"""

from collections.abc import Mapping
from enum import StrEnum


class Need(StrEnum):
    """What helps somebody to read, hear and understand."""

    LARGE_PRINT = "large_print"
    EASY_READ = "easy_read"
    READ_ALOUD = "read_aloud"
    INTERPRETER = "interpreter"
    SIGN_LANGUAGE = "sign_language"
    HEARING = "hearing"
    SIGHT = "sight"


LANGUAGE = "language"
"""The language that they prefer, in words."""
NOTE = "words"
"""Anything else that helps, in words."""
YES = "yes"


def put_together(
    kept: Mapping[str, str], needed: frozenset[Need], language: str, note: str
) -> dict[str, str]:
    """Return what is needed now: words that a need had stay, and so does what is not known here."""
    ours = {*Need, LANGUAGE, NOTE}
    found = {need.value: kept.get(need.value) or YES for need in Need if need in needed}
    words = {LANGUAGE: " ".join(language.split()), NOTE: " ".join(note.split())}
    found |= {code: text for code, text in words.items() if text}
    return found | {code: text for code, text in kept.items() if code not in ours}
