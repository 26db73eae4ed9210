"""What changed between two versions of a consent form, line by line (rule 10).

Pure. A line counts as changed when its words differ in the language asked for, or when what hangs
on its answer differs: of whom it is asked, for which use, for how long a yes is good.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from consent_service.domain.forms import (
    ConsentFormVersion,
    FormFacts,
    Statement,
    fill,
)


class ChangeKind(StrEnum):
    """What became of one line of the form."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class LineChange:
    """One line of the form before and after: its paragraphs, empty where there was no such line.

    `code` is the statement's, or `introduction`. `rules` names what else differs: `asked_of`,
    `answer`, `purpose`, `valid_for`, `layer`, `only_if`.
    """

    code: str
    kind: ChangeKind
    before: tuple[str, ...]
    after: tuple[str, ...]
    rules: tuple[str, ...] = ()


INTRODUCTION = "introduction"
_RULES = ("layer", "asked_of", "answer", "purpose", "only_if", "names", "choices", "valid_for")


def form_changes(
    old: ConsentFormVersion, new: ConsentFormVersion, language: str, facts: FormFacts
) -> tuple[LineChange, ...]:
    """Return every line that differs, in the order of the newer form, removed lines last.

    KeyError when one of the versions has no words in `language`.
    """
    return tuple(_changes(old, new, language, facts))


def _changes(
    old: ConsentFormVersion, new: ConsentFormVersion, language: str, facts: FormFacts
) -> Iterator[LineChange]:
    before, after = _opening(old, language, facts), _opening(new, language, facts)
    if before != after:
        yield LineChange(INTRODUCTION, ChangeKind.CHANGED, before, after)
    known = {statement.code: statement for statement in old.statements}
    for statement in new.statements:
        after = _paragraphs(new, statement, language, facts)
        standing = known.pop(statement.code, None)
        if standing is None:
            yield LineChange(statement.code, ChangeKind.ADDED, (), after)
            continue
        before = _paragraphs(old, standing, language, facts)
        rules = tuple(n for n in _RULES if getattr(standing, n) != getattr(statement, n))
        if before != after or rules:
            yield LineChange(statement.code, ChangeKind.CHANGED, before, after, rules)
    for statement in known.values():
        before = _paragraphs(old, statement, language, facts)
        yield LineChange(statement.code, ChangeKind.REMOVED, before, ())


def _opening(form: ConsentFormVersion, language: str, facts: FormFacts) -> tuple[str, ...]:
    words = form.words[language]
    return tuple(fill(text, words, facts) for text in (words.title, words.introduction) if text)


def _paragraphs(
    form: ConsentFormVersion, statement: Statement, language: str, facts: FormFacts
) -> tuple[str, ...]:
    words, text = form.words[language], statement.texts[language]
    choices = (text.choices[choice] for choice in statement.choices)
    told = (text.wording, text.child_wording, *choices, text.why, text.if_no, text.if_withdrawn)
    return tuple(fill(paragraph, words, facts) for paragraph in told if paragraph)
