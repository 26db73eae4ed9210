"""Due dates of everything in an involvement, computed anew whenever a fact changes (rule 8).

Rules kept here:
  * the dates in the rows are an index of what may be due; whoever destroys computes them again in
    its own transaction, from the facts of that moment;
  * an involvement without an entry for the months that policy names counts as ended on the day of
    its last entry (rule 17);
  * a clip or still that everyone permits for a further purpose stays as long as that class (R13 to
    R15), even when its first class has ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement, InvolvementPerson, Person
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.people import children_among, members
from consent_service.db.queries.retention import (
    Answered,
    answered_any,
    decision_days,
    review_meetings,
    standing_assets,
    stills_offered,
    summaries_filed,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.calendar import Period, Unit, keep_until
from consent_service.domain.consent import ConsentState, Finding
from consent_service.domain.forms import Condition
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import split_use
from consent_service.domain.retention import (
    PARENT_RECORD,
    Facts,
    FilmFacts,
    Keeping,
    due,
    film_rules,
    longest,
    purpose_rules,
)
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.services import keys
from consent_service.services.context import Context

DATES = Actor(ActorKind.SYSTEM, "retention-dates")


@dataclass(frozen=True)
class _Family:
    """What is known of an involvement, read once for all of its assets."""

    ended_on: date | None
    people: Sequence[tuple[InvolvementPerson, Person]]
    children: frozenset[str]
    depicted: Mapping[str, tuple[str, ...]]
    filed: Mapping[str, date]
    review_meetings: frozenset[str]
    offered: Mapping[str, Answered]
    findings: Mapping[tuple[str, str], Finding]
    decided_on: Mapping[str, date]
    leap_day_on: tuple[int, int]
    expecting: frozenset[str]


def recompute(ctx: Context, uow: UnitOfWork, involvement: str) -> None:
    """Compute the due dates of the involvement's assets in the caller's transaction."""
    uow.session.flush()
    moved = False
    assets = standing_assets(uow.session, involvement)
    found = keeping(ctx, uow.session, involvement, assets, uow.at)
    for asset in assets:
        by = found[asset.id]
        dates = (by.by.rule.id, by.due_on, by.gone_by)
        if (asset.rule, asset.due_on, asset.gone_by) == dates:
            continue
        moved = moved or asset.rule is not None
        asset.rule, asset.due_on, asset.gone_by = dates
    if moved:
        uow.record(AuditEvent(EventKind.RETENTION_RECOMPUTED, DATES, involvement, involvement))
    uow.session.flush()


def keeping(
    ctx: Context, session: Session, involvement: str, assets: Sequence[Asset], at: datetime
) -> dict[str, Keeping]:
    """Return, per asset of the involvement, what keeps it and until when, as of now."""
    if not assets:
        return {}
    family = _read(ctx, session, session.get_one(Involvement, involvement), assets, at)
    return {asset.id: _keeping(ctx, family, asset) for asset in assets}


def ended_on(ctx: Context, row: Involvement, today: date) -> date | None:
    """Return the day from which retention counts: the end, or the last entry of a quiet one."""
    if row.ended_on is not None:
        return row.ended_on
    last = london_day(row.last_entry_at)
    months = ctx.policies.organisation.inactivity.counts_as_ended_after_months
    return last if keep_until(last, Period(months, Unit.MONTHS)) <= today else None


def _read(
    ctx: Context, session: Session, row: Involvement, assets: Sequence[Asset], at: datetime
) -> _Family:
    people = members(session, row.id)
    today = london_day(at)
    findings = {
        pair: found
        for pair, found in keys.consent_picture(ctx, session, row.id).items()
        if found.state is ConsentState.GIVEN
    }
    granting = {decision for found in findings.values() for decision in found.granting}
    stills = [a.id for a in assets if a.kind is AssetKind.STILL]
    return _Family(
        ended_on(ctx, row, today),
        people,
        children_among(session, [person.id for _, person in people], row.started_on),
        keys.depicted_by_asset(session, [a.id for a in assets]),
        summaries_filed(session, row.id),
        review_meetings(session, row.id),
        stills_offered(session, stills) if stills else {},
        findings,
        decision_days(session, granting),
        ctx.policies.organisation.leap_day_birthday.month_and_day,
        _expecting(ctx, session, row.id, people),
    )


def _expecting(
    ctx: Context,
    session: Session,
    involvement: str,
    people: Sequence[tuple[InvolvementPerson, Person]],
) -> frozenset[str]:
    """Return who is pregnant, or was: whoever was asked about film of the bump here (rule 13)."""
    bump = {
        statement.code
        for form in ctx.policies.forms.values()
        for statement in form.statements
        if statement.only_if is Condition.PREGNANT
    }
    now = {member.person_id for member, _ in people if member.pregnant}
    return frozenset(now | answered_any(session, involvement, bump))


def _keeping(ctx: Context, family: _Family, asset: Asset) -> Keeping:
    schedule = ctx.policies.schedule
    facts = _facts(family, asset)
    dues = []
    for rule in film_rules(_film(family, asset)):
        if rule == PARENT_RECORD:
            dues += [due(schedule, rule, own) for own in _facts_of_adults(family, asset, facts)]
        else:
            dues.append(due(schedule, rule, facts))
    dues += [due(schedule, rule, own) for rule, own in _further(ctx, family, asset, facts)]
    return longest(dues)


def _film(family: _Family, asset: Asset) -> FilmFacts:
    depicted = set(family.depicted.get(asset.id, ()))
    return FilmFacts(
        asset.kind,
        asset.record_class,
        review_film=asset.meeting_id in family.review_meetings,
        offered=asset.id in family.offered,
        children=bool(depicted & family.children),
        adults=bool(depicted - family.children),
        bump=bool(depicted) and depicted <= family.expecting and not _was_born(family, asset),
    )


def _was_born(family: _Family, asset: Asset) -> bool:
    """Tell whether a baby of the family was born when this was filmed."""
    return any(
        member.role is FamilyRole.BABY
        and person.born_on is not None
        and person.born_on <= asset.filmed_on
        for member, person in family.people
    )


def _facts(family: _Family, asset: Asset) -> Facts:
    answered = family.offered.get(asset.id, Answered(None, None))
    source = asset.id if asset.kind is AssetKind.RECORDING else ""
    known = {
        TriggerEvent.SUMMARY_FILED: family.filed.get(source),
        TriggerEvent.INVOLVEMENT_ENDED: family.ended_on,
        TriggerEvent.DISCHARGED: family.ended_on,
        TriggerEvent.CARE_CEASED: family.ended_on,
        TriggerEvent.HANDED_OVER: answered.accepted_on,
        TriggerEvent.HANDOVER_DECLINED: answered.declined_on,
    }
    births = _children_that_count(family, asset)
    return Facts(
        {event: day for event, day in known.items() if day is not None},
        tuple(p.born_on for p in births if p.born_on is not None),
        birth_unknown=any(p.born_on is None for p in births),
        ended_on=family.ended_on,
        leap_day_on=family.leap_day_on,
    )


def _children_that_count(family: _Family, asset: Asset) -> list[Person]:
    """Return the children in the film; for bump film, the baby that was expected."""
    depicted = set(family.depicted.get(asset.id, ())) & family.children
    if depicted:
        return [person for _, person in family.people if person.id in depicted]
    return [person for member, person in family.people if member.role is FamilyRole.BABY]


def _facts_of_adults(family: _Family, asset: Asset, facts: Facts) -> list[Facts]:
    """Return the facts of each adult in the film: each has a record of their own."""
    depicted = set(family.depicted.get(asset.id, ())) - family.children
    adults = [person for _, person in family.people if person.id in depicted]
    if not adults:
        return [facts]
    return [
        Facts({**facts.events, **({TriggerEvent.DIED: p.died_on} if p.died_on else {})})
        for p in adults
    ]


def _further(ctx: Context, family: _Family, asset: Asset, facts: Facts) -> list[tuple[str, Facts]]:
    """Return the further classes in which a clip or still is kept, each with its own facts."""
    people = family.depicted.get(asset.id, ())
    found = []
    for use in sorted({purpose for _, purpose in family.findings}):
        granted = [family.findings.get((person, use)) for person in people]
        whole = [g for g in granted if g is not None]
        if not people or len(whole) != len(people):
            continue
        given = min(max(family.decided_on[d] for d in g.granting) for g in whole)
        made = max(london_day(asset.stored_at or asset.created_at), given)
        events = {
            **facts.events,
            TriggerEvent.CONSENT_GIVEN: given,
            TriggerEvent.COPY_MADE: made,
        }
        purpose = ctx.policies.purposes.get(split_use(use)[0])
        if purpose is None:
            continue
        found += [(rule, Facts(events)) for rule in purpose_rules(purpose, asset.kind)]
    return found
