"""What a family is given when the organisation ends a consent: what ended, why, what becomes of it.

Rule kept here: the reason printed is the one that was written for the family to hear; whoever
cannot see the order cannot print its paper.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.people import Person
from consent_service.db.queries.erasure import OrderScope
from consent_service.documents import render_pdf
from consent_service.documents.content import (
    ConcernedPerson,
    DestroyedLine,
    KeptLine,
    RevocationReceipt,
)
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.services.access import Caller, involvement_for
from consent_service.services.context import Context
from consent_service.services.paper_words import GROUNDS, what_each_is
from consent_service.services.papers import ERASED_WITHIN, letterhead, purpose_label
from consent_service.services.withdrawal_outcome import left_the_service, lines_of_order


def revocation_receipt(ctx: Context, caller: Caller, order: str) -> bytes:
    """Return the family's paper about a consent that the organisation ended, as PDF/A.

    `order` is the id of its erasure order. Raises NotFound for an order of another cause.
    """
    with ctx.read() as session:
        row = session.get(ErasureOrder, order)
        if row is None or row.cause is not OrderCause.CONSENT_REVOKED:
            raise NotFound("There is no such order that ended a consent.", kind="order")
        involvement_for(ctx, session, caller, Permission.ERASURE_READ, row.involvement_id)
        paper = _paper(ctx, session, row)
    return render_pdf(paper, identifier=f"{order} revocation")


def _paper(ctx: Context, session: Session, row: ErasureOrder) -> RevocationReceipt:
    scope = OrderScope.from_json(row.scope)
    lines = lines_of_order(ctx, session, row)
    what = what_each_is(session, {line.asset for line in lines})
    gone_by = london_day(row.not_before) + ERASED_WITHIN
    return RevocationReceipt(
        head=letterhead(ctx, row.reference),
        made_at=row.ordered_at,
        for_people=tuple(
            ConcernedPerson(name=session.get_one(Person, person).full_name)
            for person in scope.persons
        ),
        ended=tuple(purpose_label(ctx, purpose) for purpose in scope.purposes),
        reason=_reason(session, row),
        destroyed=tuple(
            DestroyedLine(what=what[line.asset], gone_by=gone_by)
            for line in lines
            if line.outcome == "destroy"
        ),
        kept=tuple(
            KeptLine(what=what[line.asset], ground=GROUNDS[line.ground or "hold"])
            for line in lines
            if line.outcome == "keep"
        ),
        cannot_recall=tuple(
            "Photos or copies that were handed over before"
            for _ in left_the_service(session, row.involvement_id)[:1]
        ),
    )


def _reason(session: Session, row: ErasureOrder) -> str:
    said = select(ConsentEnding.reason).where(
        ConsentEnding.ref == row.id, ConsentEnding.kind == EndingKind.REVOKED
    )
    return session.scalar(said.limit(1)) or "Ask us: we will tell you."
