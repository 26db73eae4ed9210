"""Who is in a film: somebody else noticed, or somebody recorded who is not in it (rule 12).

Rules kept here:
  * whoever is in a clip is in its recording, and whoever is in a recording counts as in all that
    was made of it, unless two people looked and found otherwise;
  * somebody without `care` stops the film for everyone until they have been asked;
  * taking somebody out needs one person who asks, with a reason, and another who confirms.
"""

from datetime import timedelta

from consent_service.clock import london_day
from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.db.queries.consent import states_now
from consent_service.db.queries.recordings import derived_from, origin_of, roles_in
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState, Depiction, require_move
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import ConsentState
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, Gone, InvalidInput, NotFound, Refused
from consent_service.services import depicted_keys, keys, permission
from consent_service.services.access import Caller
from consent_service.services.assets import AssetView, asset_for, read_view
from consent_service.services.at_once import at_once
from consent_service.services.context import Context
from consent_service.services.depicted_keys import settle_awaiting

__all__ = [
    "add_depicted",
    "ask_removal",
    "confirm_removal",
    "refuse_removal",
    "settle_awaiting",
]


def add_depicted(ctx: Context, caller: Caller, asset: str, person: str) -> AssetView:
    """Record that somebody can be seen or heard in an asset, and hence in its whole film.

    With `care` they are in and the film goes on; without, nobody can watch it until they are
    asked. The person must belong to the involvement. Raises Conflict `already_depicted`.
    """
    with ctx.begin() as uow:
        row = _standing(ctx, uow, caller, asset)
        if person not in roles_in(uow.session, row.involvement_id):
            raise NotFound("This person does not belong to the involvement.", kind="person")
        involvement = uow.lock_involvement(row.involvement_id)
        seen_in = [a for a in _whole_film(uow, row) if _add(uow, caller, a, person, row)]
        if not seen_in:
            raise Conflict("This person is recorded as in the film.", code="already_depicted")
        state = states_now(uow.session, involvement.id, [person], [CARE], uow.at)[person, CARE]
        if state.state is not ConsentState.GIVEN:
            for one in seen_in:
                _await(ctx, uow, caller, one, person)
        involvement.consent_epoch += 1
        involvement.last_entry_at = uow.at
    at_once(ctx, keys.ensure_consent_keys, row.involvement_id)
    at_once(ctx, depicted_keys.settle, row.involvement_id)
    return read_view(ctx, asset)


def ask_removal(ctx: Context, caller: Caller, asset: str, person: str, reason: str) -> AssetView:
    """Ask that somebody be recorded as not seen or heard in an asset; another has to confirm it."""
    if not reason.strip():
        raise InvalidInput("Say why.", {"reason": "Say how you know that they are not in it."})
    with ctx.begin() as uow:
        row = _standing(ctx, uow, caller, asset)
        entry = _entry(uow, asset, person)
        if len(permission.depicted_in(uow.session, asset)) == 1:
            raise Conflict(
                "Somebody must be in a film. Erase it if nobody is.", code="last_depicted"
            )
        entry.removal_asked_by = caller.id
        entry.removal_asked_at = uow.at
        entry.removal_reason = reason.strip()
        _record(uow, caller, EventKind.DEPICTED_REMOVAL_ASKED, row, person)
    return read_view(ctx, asset)


def confirm_removal(ctx: Context, caller: Caller, asset: str, person: str) -> AssetView:
    """Confirm, as a second person, that somebody is not in an asset nor in what was made of it.

    From then on only those who are in it count. Raises Refused `second_person`, Conflict
    `not_asked` or `last_depicted`.
    """
    with ctx.begin() as uow:
        row = _standing(ctx, uow, caller, asset)
        entry = _asked(uow, asset, person)
        if entry.removal_asked_by == caller.id:
            raise Refused("A second person confirms this, not who asked.", code="second_person")
        if len(permission.depicted_in(uow.session, asset)) == 1:
            raise Conflict(
                "Somebody must be in a film. Erase it if nobody is.", code="last_depicted"
            )
        for one in derived_from(uow.session, row):
            found = uow.session.get(DepictedPerson, (one.id, person))
            if found is None or found.depiction is not Depiction.DEPICTED:
                continue
            found.depiction = Depiction.NOT_SEEN
            found.removed_by, found.removed_at = caller.id, uow.at
            _record(uow, caller, EventKind.DEPICTED_REMOVED, one, person)
        involvement = uow.lock_involvement(row.involvement_id)
        involvement.consent_epoch += 1
        involvement.last_entry_at = uow.at
    at_once(ctx, depicted_keys.settle, row.involvement_id)
    at_once(ctx, keys.ensure_wraps, row.involvement_id)
    return read_view(ctx, asset)


def refuse_removal(ctx: Context, caller: Caller, asset: str, person: str) -> AssetView:
    """Let a request to take somebody out fall: they stay in the film."""
    with ctx.begin() as uow:
        _standing(ctx, uow, caller, asset)
        entry = _asked(uow, asset, person)
        entry.removal_asked_by = entry.removal_asked_at = entry.removal_reason = None
        row = uow.session.get_one(Asset, asset)
        _record(uow, caller, EventKind.DEPICTED_ADDED, row, person)
    return read_view(ctx, asset)


def _standing(ctx: Context, uow: UnitOfWork, caller: Caller, asset: str) -> Asset:
    """Return the asset, its involvement locked; Gone once it is erased or about to be."""
    row = asset_for(ctx, uow.session, caller, Permission.DEPICTED_WRITE, asset)
    uow.lock_involvement(row.involvement_id)
    uow.session.refresh(row)
    if row.state in (AssetState.ERASED, AssetState.LOCKED) or permission.is_fenced(
        uow.session, row
    ):
        raise Gone(
            "This film was withdrawn or erased.",
            asset=asset,
            order=permission.order_of(uow.session, row),
        )
    return row


def _whole_film(uow: UnitOfWork, row: Asset) -> list[Asset]:
    return derived_from(uow.session, origin_of(uow.session, row))


def _add(uow: UnitOfWork, caller: Caller, one: Asset, person: str, noticed_in: Asset) -> bool:
    """Record the person in one asset; False where they are in it, or were found not to be."""
    entry = uow.session.get(DepictedPerson, (one.id, person))
    if entry is None:
        entry = DepictedPerson(asset_id=one.id, person_id=person)
        uow.session.add(entry)
    elif not _takes_in(uow, entry, noticed_in):
        return False
    entry.depiction = Depiction.DEPICTED
    entry.added_by, entry.added_at = caller.id, uow.at
    entry.removal_asked_by = entry.removal_asked_at = entry.removal_reason = None
    entry.removed_by = entry.removed_at = None
    _record(uow, caller, EventKind.DEPICTED_ADDED, one, person)
    return True


def _takes_in(uow: UnitOfWork, entry: DepictedPerson, noticed_in: Asset) -> bool:
    """Tell whether noticing the person changes an entry that is there.

    Where two people found them not to be seen, that stands, unless they were noticed in that very
    asset or in what was made of it.
    """
    if entry.depiction is Depiction.NOT_SEEN:
        return entry.asset_id in _above(uow, noticed_in)
    return entry.depiction is Depiction.PRESENT


def _above(uow: UnitOfWork, row: Asset) -> set[str]:
    """Return an asset and everything that it was made from."""
    found = {row.id}
    current = row
    while current.source_id is not None:
        current = uow.session.get_one(Asset, current.source_id)
        found.add(current.id)
    return found


def _await(ctx: Context, uow: UnitOfWork, caller: Caller, one: Asset, person: str) -> None:
    if one.state is not AssetState.STORED:
        return
    days = timedelta(days=ctx.policies.organisation.awaiting_consent_days)
    one.state = require_move(one.id, one.state, AssetState.AWAITING_CONSENT)
    one.awaiting_since = uow.at
    uow.record(
        AuditEvent(
            EventKind.ASSET_AWAITING_CONSENT,
            caller.actor,
            one.id,
            one.involvement_id,
            {"people": [person], "until": london_day(uow.at + days).isoformat()},
        )
    )


def _entry(uow: UnitOfWork, asset: str, person: str) -> DepictedPerson:
    entry = uow.session.get(DepictedPerson, (asset, person))
    if entry is None or entry.depiction is not Depiction.DEPICTED:
        raise NotFound("This person is not recorded as in the film.", kind="person")
    return entry


def _asked(uow: UnitOfWork, asset: str, person: str) -> DepictedPerson:
    entry = _entry(uow, asset, person)
    if entry.removal_asked_by is None:
        raise Conflict("Nobody asked for this. Ask first.", code="not_asked")
    return entry


def _record(uow: UnitOfWork, caller: Caller, kind: EventKind, row: Asset, person: str) -> None:
    uow.record(AuditEvent(kind, caller.actor, row.id, row.involvement_id, {"person": person}))
