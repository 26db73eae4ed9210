"""Consent forms as published, and what a form puts to a person."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import page
from consent_service.api.shapes import (
    Id,
    Language,
    Page,
    PageQuery,
    Reply,
    Request,
)
from consent_service.domain.form_changes import ChangeKind
from consent_service.domain.forms import AnswerKind, AskedOf, Condition, Layer, Named, Statement
from consent_service.domain.roles import Permission as P
from consent_service.services import consent
from consent_service.services import form_library as use

room = Room("consent-forms")


class FormReply(Reply):
    """A published form version; its digest covers every file of it."""

    id: str
    version: int
    title: str
    leaflet: str
    languages: tuple[str, ...]
    digest: str
    material: bool
    published_at: datetime


class WordsReply(Reply):
    """The words of a statement in one language."""

    wording: str
    child_wording: str
    why: str
    if_no: str
    if_withdrawn: str
    choices: dict[str, str]


class StatementReply(Reply):
    """One separately answerable line."""

    code: str
    layer: Layer
    asked_of: tuple[AskedOf, ...]
    answer: AnswerKind
    purpose: str | None
    only_if: Condition | None
    names: Named | None
    choices: tuple[str, ...]
    words: dict[str, WordsReply]

    @classmethod
    def of(cls, statement: Statement) -> "StatementReply":
        """Return the reply for a statement."""
        return cls(
            code=statement.code,
            layer=statement.layer,
            asked_of=tuple(sorted(statement.asked_of)),
            answer=statement.answer,
            purpose=statement.purpose,
            only_if=statement.only_if,
            names=statement.names,
            choices=statement.choices,
            words={
                language: WordsReply(
                    wording=text.wording,
                    child_wording=text.child_wording,
                    why=text.why,
                    if_no=text.if_no,
                    if_withdrawn=text.if_withdrawn,
                    choices=dict(text.choices),
                )
                for language, text in statement.texts.items()
            },
        )


class FormWordsReply(Reply):
    """A published form version: its statements as asked, all its words, and their SHA-256."""

    id: str
    version: int
    language: str
    text: str
    sha256: str
    statements: tuple[StatementReply, ...]


class LanguageQuery(Request):
    """In which language."""

    language: Language = "en"


class QuestionsQuery(Request):
    """Who is asked, with which form, in which language."""

    person: Id
    form: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = "vig"
    language: Language = "en"


class QuestionReply(Reply):
    """One line to be answered: about whom."""

    statement: str
    about: Id
    layer: Layer
    answer: AnswerKind
    choices: tuple[str, ...]


class QuestionsReply(Reply):
    """What a form puts to a person now, the exact text, and the SHA-256 of that text."""

    form: str
    version: int
    language: str
    person: Id
    questions: tuple[QuestionReply, ...]
    text: str
    digest: str


@room.get("/consent-forms", P.FORM_READ, Page[FormReply], query=PageQuery)
def list_forms(ask: Ask, query: PageQuery) -> Answer:
    """List every published form version."""
    found = use.forms(ask.ctx)
    return Answer(page(found, FormReply, query, lambda view: f"{view.id}/{view.version}"))


@room.get("/consent-forms/{form}/versions/{n}", P.FORM_READ, FormWordsReply, query=LanguageQuery)
def read_form(ask: Ask, form: str, n: int, query: LanguageQuery) -> Answer:
    """Read a published form version: every statement, and the words in one language."""
    found = use.form_text(ask.ctx, form, n, query.language)
    statements = ask.ctx.policies.forms[form, n].statements
    return Answer(
        FormWordsReply(
            id=found.id,
            version=found.version,
            language=found.language,
            text=found.text,
            sha256=found.sha256,
            statements=tuple(StatementReply.of(s) for s in statements),
        )
    )


@room.get("/involvements/{id}/questions", P.CONSENT_CAPTURE, QuestionsReply, query=QuestionsQuery)
def read_questions(ask: Ask, id: str, query: QuestionsQuery) -> Answer:
    """Read what a form puts to a person of this involvement now, and the exact words."""
    found = consent.questions(
        ask.ctx, ask.caller, consent.AskForm(id, query.person, query.form, query.language)
    )
    questions = tuple(
        QuestionReply(
            statement=q.statement.code,
            about=q.about,
            layer=q.statement.layer,
            answer=q.statement.answer,
            choices=q.statement.choices,
        )
        for q in found.questions
    )
    return Answer(
        QuestionsReply(
            form=found.form.id,
            version=found.form.version,
            language=found.language,
            person=found.person,
            questions=questions,
            text=found.text,
            digest=found.digest,
        )
    )


class ChangesQuery(Request):
    """From which version to which, in which language."""

    old: Annotated[int, Field(ge=1, le=9999)]
    new: Annotated[int, Field(ge=1, le=9999)]
    language: Language = "en"


class LineChangeReply(Reply):
    """One line of the form before and after, in paragraphs; `rules` names what else differs."""

    code: str
    kind: ChangeKind
    before: tuple[str, ...]
    after: tuple[str, ...]
    rules: tuple[str, ...]


class ChangesReply(Reply):
    """What differs between two published versions of a form."""

    form: str
    old: int
    new: int
    language: str
    material: bool
    lines: tuple[LineChangeReply, ...]


@room.get("/consent-forms/{form}/changes", P.FORM_READ, ChangesReply, query=ChangesQuery)
def read_form_changes(ask: Ask, form: str, query: ChangesQuery) -> Answer:
    """Read what differs between two published versions of a form, line by line."""
    found = use.changes(ask.ctx, form, query.old, query.new, query.language)
    lines = tuple(LineChangeReply.model_validate(line) for line in found.lines)
    reply = ChangesReply(
        form=found.form,
        old=found.old,
        new=found.new,
        language=found.language,
        material=found.material,
        lines=lines,
    )
    return Answer(reply)
