"""Read one version of a consent form: `form.yaml` for what is asked, `<language>.md` for the words.

Rules kept here:
  * every statement has its words in every language of the form, for every capacity it is asked in;
  * every placeholder has a value and every passage it may stand for is written, whatever the
    organisation decides later;
  * words that belong to no statement are a fault: somebody meant them to be read;
  * words in another language name their translator and their approver, or are not published.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from consent_service.domain.forms import (
    LABELS,
    PASSAGES,
    PLACEHOLDER,
    AnswerKind,
    AskedOf,
    ConsentFormVersion,
    FormWords,
    Statement,
    StatementText,
    Translation,
)
from consent_service.domain.policies import FORM_VALUES
from consent_service.policy_files import words as md
from consent_service.policy_files.checking import check_translations, checked
from consent_service.policy_files.faults import Faults
from consent_service.policy_files.shapes import FormShape, StatementShape
from consent_service.policy_files.words import Section, WordsFile, parse_words
from consent_service.policy_files.yaml_lines import Document, read_text, read_yaml

FORM_FILE = "form.yaml"
ENTRIES = ("child", "why", "no", "withdraw")


def read_form(folder: Path, path: str, faults: Faults) -> ConsentFormVersion | None:
    """Return the form version in `path` (relative to `folder`), or None after noting faults."""
    document = read_yaml(folder, f"{path}/{FORM_FILE}", faults)
    shape = checked(document, FormShape, faults)
    if document is None or shape is None:
        return None
    _check_place(document, path, shape, faults)
    check_translations(document, shape, faults)
    _check_statements(document, shape, faults)
    files = {language: _read_words(folder, path, language, faults) for language in shape.languages}
    known = {language: file for language, file in files.items() if file is not None}
    for file in known.values():
        _check_words(file, shape, faults)
    return ConsentFormVersion(
        id=shape.id,
        version=shape.version,
        leaflet=shape.leaflet,
        statements=tuple(_statement(statement, known) for statement in shape.statements),
        words={language: _form_words(file) for language, file in known.items()},
        translations={
            language: Translation(who.translator, who.approver)
            for language, who in shape.translations.items()
        },
    )


def _read_words(folder: Path, path: str, language: str, faults: Faults) -> WordsFile | None:
    file = f"{path}/{language}.md"
    text = read_text(folder, file, faults)
    return None if text is None else parse_words(file, text, faults)


def _statement(shape: StatementShape, files: Mapping[str, WordsFile]) -> Statement:
    return Statement(
        code=shape.code,
        layer=shape.layer,
        asked_of=frozenset(shape.asked_of),
        answer=shape.answer,
        texts={
            language: _statement_text(file.sections[shape.code], shape.choices)
            for language, file in files.items()
            if shape.code in file.sections
        },
        purpose=shape.purpose,
        only_if=shape.only_if,
        names=shape.names,
        choices=shape.choices,
        valid_for=shape.valid_for,
    )


def _statement_text(section: Section, choices: Iterable[str]) -> StatementText:
    entries = section.entries
    return StatementText(
        wording=section.wording,
        child_wording=entries.get("child", ""),
        why=entries.get("why", ""),
        if_no=entries.get("no", ""),
        if_withdrawn=entries.get("withdraw", ""),
        choices={choice: entries.get(f"choice {choice}", "") for choice in choices},
    )


def _form_words(file: WordsFile) -> FormWords:
    empty = Section("", 1)
    return FormWords(
        title=file.title,
        introduction=file.introduction,
        labels=dict(file.sections.get(md.LABELS, empty).entries),
        passages=dict(file.sections.get(md.PASSAGES, empty).entries),
    )


def _check_place(document: Document, path: str, shape: FormShape, faults: Faults) -> None:
    expected = f"consent-forms/{shape.id}/v{shape.version}"
    if path != expected:
        faults.add(
            document.file,
            document.line(("version",)),
            f"the form {shape.id} version {shape.version} stands in {path}, expected {expected}",
        )


def _check_statements(document: Document, shape: FormShape, faults: Faults) -> None:
    seen: set[str] = set()
    for number, statement in enumerate(shape.statements):
        for key, sentence in _statement_faults(statement, seen):
            line = document.line(("statements", number, key))
            faults.add(document.file, line, f"{statement.code}: {sentence}")
        seen.add(statement.code)


def _statement_faults(statement: StatementShape, seen: set[str]) -> Iterator[tuple[str, str]]:
    if statement.code in seen:
        yield "code", "the code stands twice, expected it once"
    if (statement.purpose is None) != (statement.valid_for is None):
        yield "purpose", "only one of purpose and valid_for is given, expected both or neither"
    if (statement.answer is AnswerKind.YES_NO_NAMED) != (statement.names is not None):
        yield "names", "names and the answer do not fit, expected names with yes_no_named only"
    if (statement.answer is AnswerKind.CHOICE) != bool(statement.choices):
        yield "choices", "choices and the answer do not fit, expected choices with choice only"
    if statement.purpose and statement.answer not in (AnswerKind.YES_NO, AnswerKind.YES_NO_NAMED):
        yield "answer", "a purpose needs a yes or a no, expected yes_no or yes_no_named"


def _check_words(file: WordsFile, shape: FormShape, faults: Faults) -> None:
    _check_reserved(file, faults)
    codes = {statement.code for statement in shape.statements}
    for name, section in file.sections.items():
        if name not in codes | {md.LABELS, md.PASSAGES}:
            faults.add(
                file.file, section.line, f"{name} is no statement of form.yaml, expected one"
            )
    for statement in shape.statements:
        if statement.code in file.sections:
            _check_section(file, file.sections[statement.code], statement, faults)
        else:
            faults.add(
                file.file, 1, f"{statement.code} has no words, expected `## {statement.code}`"
            )
    _check_placeholders(file, faults)


def _check_reserved(file: WordsFile, faults: Faults) -> None:
    passages = {key for keys in PASSAGES.values() for key in keys}
    for name, expected in ((md.LABELS, set(LABELS)), (md.PASSAGES, passages)):
        section = file.sections.get(name, Section(name, 1))
        for key in sorted(expected - set(section.entries)):
            faults.add(file.file, section.line, f"{name} lack `{key}`, expected `- {key}: words`")
        for key in sorted(set(section.entries) - expected):
            faults.add(
                file.file,
                section.lines[key],
                f"`{key}` is not known in {name}, expected one of {', '.join(sorted(expected))}",
            )


def _check_section(
    file: WordsFile, section: Section, statement: StatementShape, faults: Faults
) -> None:
    for key in _missing(section, statement):
        faults.add(file.file, section.line, f"{statement.code} lacks {key}, expected its words")
    allowed = {*ENTRIES, *(f"choice {choice}" for choice in statement.choices)}
    for key in sorted(set(section.entries) - allowed):
        faults.add(
            file.file,
            section.lines[key],
            f"`{key}` is not known here, expected one of {', '.join(sorted(allowed))}",
        )


def _missing(section: Section, statement: StatementShape) -> Iterator[str]:
    asked = set(statement.asked_of)
    if asked - {AskedOf.HOLDER} and not section.paragraphs:
        yield "its wording"
    if AskedOf.HOLDER in asked and "child" not in section.entries:
        yield "`- child:`"
    needed = ["why"]
    if statement.answer is not AnswerKind.CHOICE:
        needed.append("no")
    if statement.purpose:
        needed.append("withdraw")
    needed.extend(f"choice {choice}" for choice in statement.choices)
    yield from (f"`- {key}:`" for key in needed if key not in section.entries)


def _check_placeholders(file: WordsFile, faults: Faults) -> None:
    known = FORM_VALUES | set(PASSAGES)
    for line, text in _lines_of(file):
        for name in PLACEHOLDER.findall(text):
            if name not in known:
                faults.add(
                    file.file,
                    line,
                    f"{{{name}}} has no value, expected one of {', '.join(sorted(known))}",
                )


def _lines_of(file: WordsFile) -> Iterator[tuple[int, str]]:
    yield 1, f"{file.title} {file.introduction}"
    for section in file.sections.values():
        yield section.line, section.wording
        yield from ((section.lines[key], text) for key, text in section.entries.items())
