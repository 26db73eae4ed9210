"""What each paper says: one frozen value per kind of document, made by the services.

Rules kept here:
  * the values carry words, days and instants; how they look is the templates' business;
  * an instant is aware UTC and printed in London time with its zone, a day is a calendar day;
  * the copy of a consent carries the exact text that was shown, and its digest is checked
    against the act's before anything is printed (rule 2).

Every text is plain: it is escaped when it is set, so a name may hold any character.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar


class DocumentKind(StrEnum):
    """The papers that the service prints; the value names the template."""

    CONSENT_COPY = "consent_copy"
    WITHDRAWAL_RECEIPT = "withdrawal_receipt"
    REVOCATION_RECEIPT = "revocation_receipt"
    HANDOVER_RECEIPT = "handover_receipt"
    CERTIFICATE = "certificate"
    SUMMARY = "summary"
    LEAFLET = "leaflet"
    SUBJECT_ACCESS = "subject_access"


@dataclass(frozen=True, kw_only=True)
class Letterhead:
    """Who the paper is from. `contact` is one line that says how to reach the team.

    `reference` is the order's, act's or leaflet's own reference, printed at the foot of each page.
    """

    organisation: str
    team: str
    contact: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What every document has. `made_at` is the instant of the act that it tells of.

    It also stands in the file's metadata; nothing in a document depends on when it was printed.
    """

    kind: ClassVar[DocumentKind]
    head: Letterhead
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class AnsweredStatement:
    """One statement with the answer given.

    `group` is the heading it stands under (statements of one group follow each other), `about`
    whom it is about ("You", a child's name), `words` the exact words, `answer` the answer in
    words, `named` the people, studies or uses it is for, `own_words` what the person wrote.
    """

    group: str
    words: str
    answer: str
    about: str = ""
    named: tuple[str, ...] = ()
    own_words: str = ""


@dataclass(frozen=True, kw_only=True)
class ConcernedPerson:
    """Someone a consent or withdrawal speaks for, and on what basis ("birth mother")."""

    name: str
    basis: str = ""


@dataclass(frozen=True, kw_only=True)
class Signed:
    """How an act was signed. `drawing` is the SVG of `signature_svg`, or empty when typed.

    `manner` says it in words: "Signed on screen", "Typed their name", "Signed on paper".
    """

    name: str
    manner: str
    drawing: str = ""


@dataclass(frozen=True, kw_only=True)
class ConsentCopy(Paper):
    """The copy of a consent that the person keeps.

    `shown_text` is the canonical text that was shown and `shown_sha256` the digest in the act;
    the text is attached as `words.txt`. `made_at` is when the answers were given, `recorded_at`
    when they were written down, `recorded_by` the role that did.
    """

    kind: ClassVar[DocumentKind] = DocumentKind.CONSENT_COPY
    form_title: str
    form_control_line: str
    leaflet_title: str
    leaflet_control_line: str
    given_by: str
    for_people: tuple[ConcernedPerson, ...]
    statements: tuple[AnsweredStatement, ...]
    shown_text: str
    shown_sha256: str
    how_to_withdraw: tuple[str, ...]
    signed: Signed
    route: str
    recorded_by: str
    recorded_at: datetime
    witness: str = ""
    interpreter: str = ""
    leaflet_given_on: date | None = None
    capacity: str = ""


@dataclass(frozen=True, kw_only=True)
class DestroyedLine:
    """Something that will be destroyed, and the last day on which it may still exist."""

    what: str
    gone_by: date


@dataclass(frozen=True, kw_only=True)
class KeptLine:
    """Something that is kept, on what ground, and until when in words."""

    what: str
    ground: str
    until: str = ""


@dataclass(frozen=True, kw_only=True)
class WithdrawalReceipt(Paper):
    """What follows from a withdrawal, for the person who withdrew; the reference is the order's.

    `made_at` is the moment of withdrawing, `effective_from` the moment from which use has ended.
    `further_references` are those of erasure in other involvements that the same stop reached.
    """

    kind: ClassVar[DocumentKind] = DocumentKind.WITHDRAWAL_RECEIPT
    withdrawn_by: str
    for_people: tuple[ConcernedPerson, ...]
    route: str
    effective_from: datetime
    ended: tuple[str, ...]
    destroyed: tuple[DestroyedLine, ...]
    kept: tuple[KeptLine, ...] = ()
    cannot_recall: tuple[str, ...] = ()
    undo_until: datetime | None = None
    further_references: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RevocationReceipt(Paper):
    """What follows when the organisation ends a consent, for the family that it is about.

    `made_at` is the moment from which use has ended; the reference is the order's.
    """

    kind: ClassVar[DocumentKind] = DocumentKind.REVOCATION_RECEIPT
    for_people: tuple[ConcernedPerson, ...]
    ended: tuple[str, ...]
    reason: str
    destroyed: tuple[DestroyedLine, ...]
    kept: tuple[KeptLine, ...] = ()
    cannot_recall: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PhotoLine:
    """One photo that was offered: its number and title, what was decided, and how it was given."""

    title: str
    decision: str
    given_as: str = ""


@dataclass(frozen=True, kw_only=True)
class HandoverReceipt(Paper):
    """The photos that were offered and handed over, one by one. `next_steps` are paragraphs."""

    kind: ClassVar[DocumentKind] = DocumentKind.HANDOVER_RECEIPT
    given_to: str
    given_by: str
    photos: tuple[PhotoLine, ...]
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InventoryLine:
    """One thing that was destroyed: id, record class, kind, and when its key and content went."""

    id: str
    record_class: str
    what: str
    key_destroyed_at: datetime | None
    content_gone_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What was destroyed. `total` counts all of it; `lines` may be only the first of them."""

    total: int
    lines: tuple[InventoryLine, ...]


@dataclass(frozen=True, kw_only=True)
class ThreeTimes:
    """When access ended, when the last key was destroyed, from when no copy can be opened."""

    access_ended_at: datetime | None
    key_destroyed_at: datetime | None
    irrecoverable_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Seal:
    """The signature over the certificate's JSON: key id, signature and digest, as text."""

    key_id: str
    signature: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class DestructionCertificate(Paper):
    """The printed certificate of one erasure order. `body` is the signed JSON, attached as is.

    `previous_sha256` is the digest of the revision before, empty for the first.
    """

    kind: ClassVar[DocumentKind] = DocumentKind.CERTIFICATE
    order: str
    reason: str
    scope: tuple[str, ...]
    revision: int
    previous_sha256: str
    inventory: Inventory
    kept: tuple[KeptLine, ...]
    times: ThreeTimes
    not_covered: tuple[str, ...]
    seal: Seal
    body: str


@dataclass(frozen=True, kw_only=True)
class GoalLine:
    """A goal in the parent's own words, with their ratings from 1 to 10, oldest first."""

    words: str
    ratings: tuple[tuple[date, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SummaryPaper(Paper):
    """What parent and guider agreed after a shared review. `filed_at` is none while a draft."""

    kind: ClassVar[DocumentKind] = DocumentKind.SUMMARY
    people: tuple[str, ...]
    guider: str
    met_on: date
    goals: tuple[GoalLine, ...]
    strengths: tuple[str, ...]
    points: tuple[str, ...]
    next_step: str
    filed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LeafletPaper(Paper):
    """A leaflet's words with its control line at the foot of every page.

    `text` is the leaflet's file as registered: first line the title, last line the control line.
    `sources` are references, one line each.
    """

    kind: ClassVar[DocumentKind] = DocumentKind.LEAFLET
    text: str
    control_line: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is held, in words, and what it is called."""

    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class RecordSection:
    """Records of one kind; `more` counts those that stand only in the attached file."""

    title: str
    records: tuple[tuple[Fact, ...], ...]
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class SubjectAccessPaper(Paper):
    """Everything held about one person. `body` is the same as JSON, attached as is."""

    kind: ClassVar[DocumentKind] = DocumentKind.SUBJECT_ACCESS
    about: str
    sections: tuple[RecordSection, ...]
    left_out: tuple[str, ...]
    body: str


@dataclass(frozen=True)
class PdfAttachment:
    """A file that travels inside the PDF (PDF/A-3). `relationship` as in ISO 32000-2, 7.11.3."""

    name: str
    media_type: str
    content: bytes
    relationship: str = "Supplement"
    description: str = ""
