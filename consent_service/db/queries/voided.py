"""Reading which acts of consent were found never to have been valid, and what was a yes in them."""

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentDecision, ConsentEnding
from consent_service.domain.consent import EndingKind


def voided_acts() -> Select[str | None]:
    """Select the acts that were found never to have been valid."""
    return select(ConsentEnding.ref).where(
        ConsentEnding.kind == EndingKind.INVALIDATED, ConsentEnding.ref.is_not(None)
    )


def voided_yeses(session: Session, involvement: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (decision, person, purposes it was about) of every yes in a voided act."""
    rows = session.execute(
        select(
            ConsentDecision.id,
            ConsentDecision.person_id,
            ConsentDecision.purpose,
            ConsentDecision.named,
        ).where(
            ConsentDecision.involvement_id == involvement,
            ConsentDecision.purpose.is_not(None),
            ConsentDecision.answer == "yes",
            ConsentDecision.act_id.in_(voided_acts()),
        )
    )
    return [
        (key, person, tuple(f"{purpose}:{use}" for use in named) or (purpose or "",))
        for key, person, purpose, named in rows
    ]
