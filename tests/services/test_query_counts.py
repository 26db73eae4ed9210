"""No list costs more queries the longer it gets: a page must not slow down with its rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event

from consent_service.domain.assets import AssetKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.paging import PageAsk
from consent_service.domain.withdrawal import WithdrawalScope
from consent_service.services import (
    certificates,
    consent,
    cutting,
    erasure,
    family_list,
    handovers,
    holds,
    leaflets,
    overview,
    papers,
    recordings,
    reviews,
    withdrawal,
)
from consent_service.services.leaflet_import import import_leaflet
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.statements import counted

List = Callable[[Clinic, Family], object]
More = Callable[[Clinic, Family], object]
USES = ("supervision", "intervision", "accreditation", "keepsake")


def _withdraw(clinic: Clinic, family: Family) -> None:
    """Stop one use more: the same one said again would be no withdrawal of its own."""
    clinic.passes(minutes=1)
    said = withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement)
    clinic.withdraws(
        family, family.mother, scope=WithdrawalScope.PURPOSES, purposes=(USES[len(said)],)
    )


def _certificate(clinic: Clinic, family: Family) -> None:
    _withdraw(clinic, family)
    erasure.work(clinic.ctx, "test")


def _goal(clinic: Clinic, family: Family) -> None:
    goal = reviews.record_goal(
        clinic.ctx, clinic.guider, family.involvement, family.mother, "Calmer evenings"
    )
    reviews.rate_goal(clinic.ctx, clinic.guider, goal.id, clinic.today, 4)


def _review(clinic: Clinic, family: Family) -> None:
    film = _film(clinic, family)
    review = reviews.record_review(
        clinic.ctx,
        clinic.guider,
        reviews.RecordReview(family.involvement, film, clinic.today),
    )
    reviews.write_summary(
        clinic.ctx, clinic.guider, reviews.WriteSummary(review.id, "She looked up.", "Wait longer.")
    )


def _film(clinic: Clinic, family: Family) -> str:
    shown = recordings.assets(clinic.ctx, clinic.guider, family.involvement)
    films = [asset.id for asset in shown if asset.kind is AssetKind.RECORDING]
    return films[0] if films else clinic.stores_film(family).id


def _handover(clinic: Clinic, family: Family) -> None:
    still = cutting.still(
        clinic.ctx, clinic.guider, cutting.MakeStill(_film(clinic, family), 500, "Smile")
    )
    handovers.offer(clinic.ctx, clinic.guider, family.involvement, family.mother, (still.id,))


def _leaflet(clinic: Clinic, family: Family) -> None:
    number = len(leaflets.list_leaflets(clinic.ctx)) + 1
    issued, archive = clinic.today, clinic.today + timedelta(days=700)
    line = f"T2042, V{number}, {issued:%d/%m/%Y} (Archive: {archive:%d/%m/%Y})"
    import_leaflet(clinic.ctx, clinic.ig, f"A leaflet\n\nWords.\n\n{line}\n".encode())


def _hold(clinic: Clinic, family: Family) -> None:
    holds.place(
        clinic.ctx,
        clinic.ig,
        holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint came in."),
    )


@pytest.mark.parametrize(
    ("listing", "add"),
    [
        pytest.param(
            lambda c, f: family_list.page_of_families(c.ctx, c.guider, PageAsk()).items,
            lambda c, f: c.family(),
            id="families",
        ),
        pytest.param(
            lambda c, f: consent.acts(c.ctx, c.guider, f.involvement),
            lambda c, f: c.captures(f, f.mother, c.answers(f, f.mother)),
            id="acts",
        ),
        pytest.param(
            lambda c, f: withdrawal.withdrawals(c.ctx, c.guider, f.involvement),
            _withdraw,
            id="withdrawals",
        ),
        pytest.param(lambda c, f: whole_lists.orders(c.ctx, c.ig), _withdraw, id="orders"),
        pytest.param(lambda c, f: reviews.goals(c.ctx, c.guider, f.involvement), _goal, id="goals"),
        pytest.param(
            lambda c, f: reviews.reviews(c.ctx, c.guider, f.involvement), _review, id="reviews"
        ),
        pytest.param(
            lambda c, f: handovers.handovers(c.ctx, c.guider, f.involvement),
            _handover,
            id="handovers",
        ),
        pytest.param(lambda c, f: leaflets.list_leaflets(c.ctx), _leaflet, id="leaflets"),
        pytest.param(lambda c, f: holds.holds(c.ctx, c.ig), _hold, id="holds"),
        pytest.param(
            lambda c, f: certificates.certificates(c.ctx, c.guider), _certificate, id="certificates"
        ),
    ],
)
def test_a_longer_list_costs_no_more_queries(clinic: Clinic, listing: List, add: More) -> None:
    """A guider with sixty families must not wait for hundreds of queries."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PHOTO.KEEP"}))
    add(clinic, family)
    with counted(clinic) as short:
        few = listing(clinic, family)
    for _ in range(2):
        add(clinic, family)

    with counted(clinic) as long:
        many = listing(clinic, family)

    assert len(many) == len(few) + 2  # type: ignore[arg-type]
    assert len(long) == len(short)


def test_the_overview_of_a_busy_clinic_costs_no_more_queries(clinic: Clinic) -> None:
    """It counts in the database: what waits for a person must not make it slow to say so."""
    family = clinic.family()
    clinic.both_consent(family)
    with counted(clinic) as quiet:
        overview.overview(clinic.ctx, clinic.ig)
    for _ in range(2):
        _hold(clinic, clinic.family())
        _withdraw(clinic, family)

    with counted(clinic) as busy:
        overview.overview(clinic.ctx, clinic.ig)

    assert len(busy) == len(quiet)


def test_a_receipt_of_many_films_costs_no_more_queries(clinic: Clinic) -> None:
    """A family with years of film gets its receipt as soon as one with a single film."""
    counts = []
    for films in (1, 3):
        family = clinic.family()
        clinic.both_consent(family)
        for _ in range(films):
            clinic.stores_film(family)
        done = clinic.withdraws(family, family.mother)
        with counted(clinic) as statements:
            papers.withdrawal_receipt(clinic.ctx, clinic.guider, done.id)
        counts.append(len(statements))

    assert counts[0] == counts[1]


@pytest.mark.parametrize(("speaks_for_baby", "most"), [(False, 15), (True, 40)])
def test_a_stop_costs_the_same_few_statements_however_much_film_there_is(
    clinic: Clinic, speaks_for_baby: bool, most: int
) -> None:
    """Access ends in one short transaction, and no film is looked at until the key is gone."""
    counts = []
    for films in (1, 3):
        family = clinic.family()
        clinic.both_consent(family)
        for _ in range(films):
            clinic.stores_film(family)
        clinic.passes(minutes=1)
        with _transactions(clinic) as transactions:
            person = family.baby if speaks_for_baby else family.mother
            clinic.withdraws(family, person, by=family.mother)
        first = next(ran for ran in transactions if any("INSERT" in s for s in ran))
        counts.append((len(first), sum(len(ran) for ran in transactions)))
        assert not [s for ran in transactions for s in ran if "FROM asset_wrap" in s]

    assert counts[0] == counts[1]
    assert counts[0][0] <= most


@contextmanager
def _transactions(clinic: Clinic) -> Iterator[list[list[str]]]:
    """Collect the statements that run meanwhile, transaction by transaction."""
    transactions: list[list[str]] = [[]]

    def begin(_connection: object) -> None:
        transactions.append([])

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        transactions[-1].append(statement)

    event.listen(clinic.ctx.engine, "begin", begin)
    event.listen(clinic.ctx.engine, "before_cursor_execute", note)
    yield transactions
    event.remove(clinic.ctx.engine, "begin", begin)
    event.remove(clinic.ctx.engine, "before_cursor_execute", note)
