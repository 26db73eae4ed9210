"""A new family, or somebody new in one, written down in one act: everything, or nothing at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from consent_service.clock import london_day
from consent_service.domain.people import (
    AgeSaid,
    Basis,
    FamilyRole,
)
from consent_service.errors import InvalidInput
from consent_service.services.access import (
    Caller,
)
from consent_service.services.context import Context
from consent_service.services.involvements import (
    InvolvementDetails,
    InvolvementView,
    Member,
    add_involvement,
    involvement_view,
    join,
    require_age,
)
from consent_service.services.people import (
    PersonDetails,
    ResponsibilityDetails,
    add_person,
    add_responsibility,
)


@dataclass(frozen=True)
class NewPerson:
    """Somebody of a new family."""

    details: PersonDetails
    role: FamilyRole
    pregnant: bool = False
    age: AgeSaid | None = None


@dataclass(frozen=True)
class NewResponsibility:
    """Who may decide for whom in a new family; people are named by their place in its list."""

    child: int
    holder: int
    basis: Basis
    from_on: date


@dataclass(frozen=True)
class NewFamily:
    """A family that is written down and begun in one act."""

    team: str
    guider: str
    people: tuple[NewPerson, ...]
    responsibilities: tuple[NewResponsibility, ...] = ()


def begin_family(ctx: Context, caller: Caller, family: NewFamily) -> InvolvementView:
    """Write down a family and begin with it: everything, or nothing at all.

    Raises InvalidInput with faults by field, prefixed with the place of the person (`0.full_name`).
    """
    with ctx.begin() as uow:
        members, rows = [], []
        for place, new in enumerate(family.people):
            with _faults_of(place):
                row = add_person(ctx, uow, caller, new.details)
                member = Member(row.id, new.role, new.pregnant, new.age)
                require_age(member, row)
            rows.append(row)
            members.append(member)
        for link in family.responsibilities:
            child, holder = rows[link.child], rows[link.holder]
            held = ResponsibilityDetails(child.id, holder.id, link.basis, link.from_on)
            add_responsibility(ctx, uow, caller, held)
        details = InvolvementDetails(family.team, family.guider, tuple(members), london_day(uow.at))
        return involvement_view(uow.session, add_involvement(ctx, uow, caller, details))


def add_to_family(
    ctx: Context, caller: Caller, involvement: str, new: NewPerson
) -> InvolvementView:
    """Write somebody down and add them to a family in one act: both, or neither."""
    with ctx.begin() as uow:
        row = add_person(ctx, uow, caller, new.details)
        member = Member(row.id, new.role, new.pregnant, new.age)
        return involvement_view(uow.session, join(ctx, uow, caller, involvement, member))


@contextmanager
def _faults_of(place: int) -> Iterator[None]:
    """Say of which person a fault is."""
    try:
        yield
    except InvalidInput as fault:
        named = {f"{place}.{name}": sentence for name, sentence in fault.faults.items()}
        raise InvalidInput(fault.message, named) from fault
