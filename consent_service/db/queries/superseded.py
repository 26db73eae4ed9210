"""Reading which yeses a newer yes has taken the place of."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.queries.consent import states_now
from consent_service.domain.purposes import with_use


def superseded_yeses(session: Session, involvement: str, at: datetime) -> dict[str, str]:
    """Return each yes that grants nothing though its purpose is *given*, and what grants it now.

    Where a yes names several uses, one of them given anew is enough: whether anything still asks
    for its key is for the caller to find out.
    """
    rows = session.execute(
        select(
            ConsentDecision.id,
            ConsentDecision.person_id,
            ConsentDecision.purpose,
            ConsentDecision.named,
        )
        .where(
            ConsentDecision.involvement_id == involvement,
            ConsentDecision.purpose.is_not(None),
            ConsentDecision.answer == "yes",
        )
        .order_by(ConsentDecision.event_at, ConsentDecision.id)
    ).all()
    said = [
        (key, person, [with_use(base or "", use) for use in named] or [base or ""])
        for key, person, base, named in rows
    ]
    persons = sorted({person for _, person, _ in said})
    spelt = sorted({purpose for _, _, purposes in said for purpose in purposes})
    found = states_now(session, involvement, persons, spelt, at) if said else {}
    granting = {key for finding in found.values() for key in finding.granting}
    return {
        key: found[person, purpose].granting[0]
        for key, person, purposes in said
        if key not in granting
        for purpose in purposes
        if found[person, purpose].granting
    }
