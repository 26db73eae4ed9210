"""Long lists a page at a time: nothing twice, nothing left out, whatever happens meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from consent_service.db.models.erasure import Certificate, ErasureOrder
from consent_service.db.models.jobs import Notice
from consent_service.db.models.people import Involvement
from consent_service.db.models.retention import Disposition, Hold
from consent_service.domain.erasure import OrderCause, OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.paging import Page, PageAsk, every
from consent_service.errors import InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import (
    certificates,
    dispositions,
    erasure,
    family_list,
    holds,
    notices,
    retention,
    subject_access,
)
from consent_service.services.subject_access import OpenRequest
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.statements import counted

Read = Callable[[Clinic, PageAsk], Page[Any]]


@dataclass(frozen=True)
class Listing:
    """A list: how it is read, how a row gets in, and how many statements a page may take."""

    read: Read
    add: Callable[[Clinic, Family], None]
    statements: int = 1


def _put(clinic: Clinic, row: object) -> None:
    with clinic.ctx.begin() as uow:
        uow.session.add(row)


def _another_family(clinic: Clinic, family: Family) -> None:
    with clinic.ctx.begin() as uow:
        first = uow.session.get_one(Involvement, family.involvement)
        values = {c.name: getattr(first, c.name) for c in Involvement.__table__.columns}
        uow.session.add(Involvement(**values | {"id": new_id()}))


def _hold(clinic: Clinic, family: Family) -> None:
    asked = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint came in.")
    holds.place(clinic.ctx, clinic.ig, asked)


def _order(clinic: Clinic, family: Family) -> None:
    _put(clinic, _order_row(clinic, family))


def _order_row(clinic: Clinic, family: Family) -> ErasureOrder:
    identifier, now = new_id(), clinic.clock.now()
    return ErasureOrder(
        id=identifier,
        reference=f"E-{identifier[:10].upper()}",
        cause=OrderCause.DISPOSITION,
        state=OrderState.DONE,
        involvement_id=family.involvement,
        scope={"persons": [], "purposes": [], "assets": [], "cascades": False},
        ordered_at=now,
        not_before=now,
        access_ended_at=now,
    )


def _certificate(clinic: Clinic, family: Family) -> None:
    order = _order_row(clinic, family)
    _put(clinic, order)
    certificate = Certificate(
        id=new_id(),
        order_id=order.id,
        revision=1,
        body=b"{}",
        digest="0" * 64,
        signature=b"",
        key_id="tests",
        issued_at=clinic.clock.now(),
    )
    _put(clinic, certificate)


def _disposition(clinic: Clinic, family: Family) -> None:
    line = Disposition(
        id=new_id(),
        subject_kind="asset",
        subject_id=new_id(),
        involvement_id=family.involvement,
        rule="REC.1",
        why="no_appraisal",
        facts={},
        due_on=clinic.today,
        queued_at=clinic.clock.now(),
    )
    _put(clinic, line)


def _notice(clinic: Clinic, _family: Family) -> None:
    with clinic.ctx.begin() as uow:
        notices.notify(uow, "hold_placed", role="ig_officer")


def _request(clinic: Clinic, family: Family) -> None:
    wanted = OpenRequest(family.mother, clinic.today)
    subject_access.open_request(clinic.ctx, clinic.ig, wanted)


LISTS = {
    "families": Listing(
        lambda c, ask: family_list.page_of_families(c.ctx, c.guider, ask), _another_family, 3
    ),
    "holds": Listing(lambda c, ask: holds.page_of_holds(c.ctx, c.ig, ask), _hold),
    "orders": Listing(lambda c, ask: erasure.page_of_orders(c.ctx, c.ig, ask), _order, 2),
    "certificates": Listing(
        lambda c, ask: certificates.page_of_certificates(c.ctx, c.ig, ask), _certificate
    ),
    "dispositions": Listing(
        lambda c, ask: dispositions.page_of_dispositions(c.ctx, c.ig, ask), _disposition
    ),
    "messages": Listing(lambda c, ask: notices.page_of_inbox(c.ctx, c.ig, ask), _notice),
    "requests": Listing(lambda c, ask: subject_access.page_of_requests(c.ctx, c.ig, ask), _request),
}


def _ids(page: Page[Any]) -> list[str]:
    return [getattr(row, "id", None) or f"{row.order}/{row.revision}" for row in page.items]


def _forward(clinic: Clinic, read: Read, first: Page[Any]) -> list[list[str]]:
    pages, page = [_ids(first)], first
    while page.next is not None:
        page = read(clinic, PageAsk(3, page.next))
        pages.append(_ids(page))
    return pages


@pytest.mark.parametrize("name", sorted(LISTS))
def test_pages_of_rows_of_the_same_moment_hold_each_row_once_both_ways(
    clinic: Clinic, name: str
) -> None:
    """A job writes a hundred rows at one instant: nothing but the id tells them apart."""
    listing = LISTS[name]
    family = clinic.family()
    for _ in range(8):
        listing.add(clinic, family)
    whole = _ids(listing.read(clinic, PageAsk(200)))

    pages = _forward(clinic, listing.read, listing.read(clinic, PageAsk(3)))

    assert len(whole) >= 8
    assert [row for page in pages for row in page] == whole
    assert all(len(page) == 3 for page in pages[:-1])
    last = listing.read(clinic, PageAsk(3))
    while last.next is not None:
        last = listing.read(clinic, PageAsk(3, last.next))
    back = [_ids(last)]
    while last.previous is not None:
        last = listing.read(clinic, PageAsk(3, last.previous))
        back.insert(0, _ids(last))
    assert back == pages


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_row_added_between_two_pages_neither_repeats_nor_hides_another(
    clinic: Clinic, name: str
) -> None:
    """Somebody works while another reads: with counted rows, one would be shown twice."""
    listing = LISTS[name]
    family = clinic.family()
    for _ in range(5):
        listing.add(clinic, family)
    before = _ids(listing.read(clinic, PageAsk(200)))
    first = listing.read(clinic, PageAsk(3))
    clinic.passes(days=1)
    listing.add(clinic, family)

    seen = [row for page in _forward(clinic, listing.read, first) for row in page]

    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_page_takes_the_same_few_statements_and_no_more_rows_than_it_shows(
    clinic: Clinic, name: str
) -> None:
    """The page of a service in its tenth year opens as fast as in its first week."""
    listing = LISTS[name]
    family = clinic.family()
    for _ in range(4):
        listing.add(clinic, family)

    with counted(clinic) as statements:
        page = listing.read(clinic, PageAsk(3))

    assert len(page.items) == 3
    reading = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(reading) == listing.statements
    assert all("LIMIT" in s or " IN (" in s for s in reading)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_cursor_of_another_list_is_refused(clinic: Clinic, name: str) -> None:
    """A wrong page of the wrong list would look right."""
    listing = LISTS[name]

    for cursor in ("AAAA", "x", "WyJuIl0"):
        with pytest.raises(InvalidInput) as refused:
            listing.read(clinic, PageAsk(3, cursor))
        assert list(refused.value.faults) == ["cursor"]


def test_families_that_ended_come_after_all_that_go_on(clinic: Clinic) -> None:
    """A guider looks for the families of today."""
    first, second = clinic.family(), clinic.family()
    with clinic.ctx.begin() as uow:
        for n, family in enumerate((first, second)):
            row = uow.session.get_one(Involvement, family.involvement)
            row.started_on = clinic.today - timedelta(days=9 + n)
        uow.session.get_one(Involvement, first.involvement).ended_on = clinic.today
    third = clinic.family()

    found = list(every(lambda ask: LISTS["families"].read(clinic, PageAsk(1, ask.cursor))))

    assert [row.id for row in found] == [third.involvement, second.involvement, first.involvement]


def test_nobody_reads_a_page_of_another_teams_families(clinic: Clinic) -> None:
    """A cursor must not lead out of one's own team."""
    clinic.family()
    clinic.family()
    first = family_list.page_of_families(clinic.ctx, clinic.guider, PageAsk(1))
    with clinic.ctx.begin() as uow:
        from consent_service.db.models.people import Team

        other = Team(id=new_id(), name="Another team", created_at=uow.at)
        uow.session.add(other)
        uow.session.flush()
        uow.session.execute(update(Involvement).values(team_id=other.id))

    assert family_list.page_of_families(clinic.ctx, clinic.guider, PageAsk(1)).items == ()
    after = family_list.page_of_families(clinic.ctx, clinic.guider, PageAsk(1, first.next))
    assert after.items == ()


def test_leading_back_to_rows_that_went_is_the_first_page(clinic: Clinic) -> None:
    """An empty page with no way on would look like an empty list."""
    family = clinic.family()
    for _ in range(4):
        _hold(clinic, family)
    first = holds.page_of_holds(clinic.ctx, clinic.ig, PageAsk(2))
    second = holds.page_of_holds(clinic.ctx, clinic.ig, PageAsk(2, first.next))
    with clinic.ctx.begin() as uow:
        for gone in first.items:
            uow.session.get_one(Hold, gone.id).released_at = uow.at

    found = holds.page_of_holds(clinic.ctx, clinic.ig, PageAsk(2, second.previous))

    assert found.items == second.items
    assert found.previous is None


def test_one_hold_and_one_line_are_found_by_their_ids(clinic: Clinic) -> None:
    """Their pages must not read the whole list for one row, nor show another team's."""
    family = clinic.family()
    _hold(clinic, family)
    _disposition(clinic, family)
    (hold,), (line,) = (
        holds.holds(clinic.ctx, clinic.ig),
        whole_lists.dispositions(clinic.ctx, clinic.ig),
    )

    assert holds.hold(clinic.ctx, clinic.ig, hold.id) == hold
    assert dispositions.disposition(clinic.ctx, clinic.ig, line.id) == line
    with pytest.raises(NotFound):
        holds.hold(clinic.ctx, clinic.ig, new_id())
    with pytest.raises(NotFound):
        dispositions.disposition(clinic.ctx, clinic.ig, new_id())


def test_what_is_due_comes_in_pages_soonest_first(clinic: Clinic) -> None:
    """Thousands of films can fall due in one year."""
    from consent_service.db.models.recordings import Asset

    family = clinic.family()
    clinic.both_consent(family)
    films = [clinic.stores_film(family).id for _ in range(3)]
    with clinic.ctx.begin() as uow:
        for film in films:
            uow.session.get_one(Asset, film).due_on = date(2026, 1, 1)

    found = [
        page.asset
        for page in every(
            lambda ask: retention.page_of_due(clinic.ctx, clinic.ig, PageAsk(2, ask.cursor))
        )
    ]

    assert found == sorted(films)


def test_unread_messages_are_counted_in_the_database(clinic: Clinic) -> None:
    """More than a page of them must not look like fewer."""
    family = clinic.family()
    for _ in range(3):
        _notice(clinic, family)
    (first, *_rest) = whole_lists.inbox(clinic.ctx, clinic.ig)
    notices.mark_seen(clinic.ctx, clinic.ig, first.id)

    with counted(clinic) as statements:
        assert notices.unread(clinic.ctx, clinic.ig) == 2

    assert sum(statement.startswith("SELECT") for statement in statements) == 1
    assert notices.unread(clinic.ctx, clinic.guider) == 0
    with clinic.ctx.read() as session:
        assert session.query(Notice).count() == 3
