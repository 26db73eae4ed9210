"""The file that answers a subject access request: one locked PDF, the same as JSON inside.

Rules kept here: made in memory from what is held at that moment; printed outside any transaction;
what is too long for paper stands whole in the attached JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from consent_service.clock import LONDON
from consent_service.db.models.people import Person
from consent_service.documents import render_pdf
from consent_service.documents.content import Fact, Letterhead, RecordSection, SubjectAccessPaper
from consent_service.documents.locked import lock_pdf
from consent_service.services import held_about
from consent_service.services.context import Context
from consent_service.services.held_records import Record

FORMAT = "consent-service.subject-access/1"
NOT_ON_PAPER = frozenset({"words_shown", "words_sha256", "signature_content"})
MOST_RECORDS, MOST_FACTS, MOST_LETTERS = 30, 70, 12_000
"""So much of one kind stands on paper, the newest of it: what a document may hold is bounded."""
LONGEST_VALUE = 4000
_CODE = re.compile(r"[a-z_]+")
_LONG_WORD = re.compile(r"\S{400}")


def paper_for(
    ctx: Context, session: Session, person: Person, request: str, at: datetime
) -> SubjectAccessPaper:
    """Return what to print about `person`; reads, and changes nothing."""
    held = held_about.everything(ctx, session, person, at)
    contact = ctx.policies.organisation.contact
    name = ctx.settings.organisation or ctx.policies.organisation.name
    body = {
        "format": FORMAT,
        "request": request,
        "made_at": at.isoformat(),
        "organisation": name,
        "held": held.topics,
        "left_out": held.left_out,
    }
    return SubjectAccessPaper(
        head=Letterhead(
            organisation=name,
            team=contact.team,
            contact=f"{contact.telephone}, {contact.email}",
            reference=request[:12].upper(),
        ),
        made_at=at,
        about=person.full_name,
        sections=tuple(_section(topic, records) for topic, records in held.topics.items()),
        left_out=tuple(held.left_out),
        body=json.dumps(body, ensure_ascii=False, indent=2),
    )


def printed(paper: SubjectAccessPaper, passphrase: str) -> bytes:
    """Return the paper as a PDF that only `passphrase` opens; call it outside transactions."""
    made = paper.made_at.isoformat()
    return lock_pdf(render_pdf(paper, identifier=f"{paper.head.reference} {made}"), passphrase)


def _section(name: str, records: list[Record]) -> RecordSection:
    shown: list[tuple[Fact, ...]] = []
    facts = letters = 0
    for record in reversed(records[-MOST_RECORDS:]):
        found = tuple(_facts(record))
        facts += len(found)
        letters += sum(len(fact.words) for fact in found)
        if facts > MOST_FACTS or letters > MOST_LETTERS:
            break
        shown.append(found)
    return RecordSection(
        title=_name(name), records=tuple(reversed(shown)), more=len(records) - len(shown)
    )


def _facts(record: Record) -> Iterator[Fact]:
    for name, value in record.items():
        if name == "answers":
            for answer in value:
                yield _fact(answer["statement"], _rest(answer))
        elif name not in NOT_ON_PAPER:
            yield _fact(_name(name), value)


def _fact(name: str, value: Any) -> Fact:
    words = " ".join(_words(value).split())[:LONGEST_VALUE]
    return Fact(name=name, words=_LONG_WORD.sub(r"\g<0> ", words))


def _rest(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "statement"}


def _name(code: str) -> str:
    return code.replace("_", " ").capitalize()


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(_words(inner) for inner in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{_name(name).lower()}: {_words(inner)}" for name, inner in value.items())
    text = str(value)
    if _CODE.fullmatch(text):
        return text.replace("_", " ")
    return _moment(text) or text


def _moment(text: str) -> str | None:
    """Return an instant or a day as people write it; None when the text is neither."""
    if len(text) < len("2026-11-02") or not text[:4].isdecimal() or text[4] != "-":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    day = f"{found.day} {found:%B %Y}"
    return day if found.tzinfo is None else f"{day}, {found.astimezone(LONDON):%H:%M}"
