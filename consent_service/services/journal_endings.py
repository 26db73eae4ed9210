"""What a consent-ended line says, appended to a database that has lost it: one kind of act each.

Rules kept here: what is appended says that it came from the journal; an act is appended whole, with
all that it ended in every involvement, and of everybody, known here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.models.handovers import Quote
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import EndingKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalScope
from consent_service.ids import new_id
from consent_service.services import printed_quotes, revocation
from consent_service.services.journal_people import REPLAYER
from consent_service.vault.journal import JournalLine

FROM_JOURNAL = "Placed again from the journal after a restore."
FROM_JOURNAL_ENDED = "Ended again from the journal after a restore."


def append_revocation(uow: UnitOfWork, body: Mapping[str, Any]) -> None:
    order = uow.session.get_one(ErasureOrder, body["order"])
    revocation.append_endings(uow, order, body["revoked"]["by"], FROM_JOURNAL_ENDED)
    scope = OrderScope.from_json(order.scope)
    details: dict[str, str | list[str]] = {"purposes": list(scope.purposes), "order": order.id}
    for person in scope.persons:
        uow.record(
            AuditEvent(EventKind.CONSENT_REVOKED, REPLAYER, person, order.involvement_id, details)
        )


def append_withdrawal(
    uow: UnitOfWork, body: Mapping[str, Any], ended: Mapping[str, list[str]], place: str
) -> None:
    """Append the act, as said in `place`, and all that it ended, unless a line before did so."""
    given = body["withdrawal"]
    if uow.session.get(Withdrawal, given["id"]) is not None:
        return
    row = Withdrawal(
        id=given["id"],
        involvement_id=place,
        person_id=given["person"],
        by_person_id=given["by"],
        scope=WithdrawalScope(given["scope"]),
        purposes=list(given["purposes"]),
        asset_ids=list(given["assets"]),
        keep_purposes=list(given["keep_purposes"]),
        speed=Speed(given["speed"]),
        route=Route.JOURNAL_REPLAY,
        undo_until=_moment(given["undo_until"]),
        recorded_by=given["recorded_by"],
        event_at=datetime.fromisoformat(given["event_at"]),
        recorded_at=uow.at,
    )
    uow.session.add(row)
    uow.session.flush()
    for involvement, purposes in ended.items():
        for purpose in purposes:
            ending = _ending(uow, EndingKind.WITHDRAWN, involvement, row.person_id, purpose)
            ending.by_person_id, ending.by_user_id = row.by_person_id, row.recorded_by
            ending.ref, ending.event_at = row.id, row.event_at
            ending.may_overrule = given["overrules"]
    uow.record(
        AuditEvent(
            EventKind.WITHDRAWAL_RECORDED,
            REPLAYER,
            row.id,
            row.involvement_id,
            {"person": row.person_id, "scope": row.scope.value, "when": row.speed.value},
        )
    )


def append_refusal(uow: UnitOfWork, refusal: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Append the no of an act that this database has lost: all that is known of it.

    `places` says for each known person in which involvement.
    """
    for one in (one for one in refusal["refused"] if one["person"] in places):
        place = places[one["person"]]
        ending = _ending(uow, EndingKind.REFUSED, place, one["person"], one["purpose"])
        ending.by_person_id, ending.by_user_id = refusal["by"], refusal["recorded_by"]
        ending.ref, ending.may_overrule = refusal["act"], one["overrules"]
        ending.event_at = datetime.fromisoformat(refusal["event_at"])
    details = {"person": str(refusal["by"]), "route": Route.JOURNAL_REPLAY.value}
    for place in sorted(set(places.values())):
        kind = EventKind.CONSENT_DECLINED
        uow.record(AuditEvent(kind, REPLAYER, refusal["act"], place, details))


def append_settlement(uow: UnitOfWork, involvement: str, settled: Mapping[str, Any]) -> None:
    uow.session.add(
        ConsentEnding(
            id=new_id(),
            kind=EndingKind(settled["kind"]),
            involvement_id=involvement,
            person_id=settled["person"],
            purpose=settled["purpose"],
            by_user_id=settled["by"],
            ref=settled["id"],
            reason=FROM_JOURNAL,
            event_at=datetime.fromisoformat(settled["event_at"]),
            recorded_at=uow.at,
        )
    )
    uow.record(
        AuditEvent(
            EventKind.DISPUTE_RESOLVED,
            REPLAYER,
            settled["id"],
            involvement,
            {"decision": settled["kind"]},
        )
    )


def append_quote_end(uow: UnitOfWork, line: JournalLine) -> None:
    """End the permission for a quote from the moment that was written down."""
    row = uow.session.get_one(Quote, line.body["quote"]["id"])
    row.withdrawn_at = line.at
    uow.record(AuditEvent(EventKind.QUOTE_WITHDRAWN, REPLAYER, row.id, row.involvement_id))
    printed_quotes.flag(uow, REPLAYER, [row.id])


def _ending(
    uow: UnitOfWork, kind: EndingKind, involvement: str, person: str, purpose: str
) -> ConsentEnding:
    """Add an ending of now; whose word it is, and since when, is for the caller to fill in."""
    ending = ConsentEnding(
        id=new_id(),
        kind=kind,
        involvement_id=involvement,
        person_id=person,
        purpose=purpose,
        event_at=uow.at,
        recorded_at=uow.at,
    )
    uow.session.add(ending)
    return ending


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
