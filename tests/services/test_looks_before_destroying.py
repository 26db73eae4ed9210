"""When the journal is looked at for the sake of what is to be destroyed, and when it is not."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from consent_service.db.models.erasure import ErasureStep
from consent_service.db.queries.consent import yes_decisions
from consent_service.domain.erasure import StepKind, StepState
from consent_service.errors import ConsentServiceError, JournalBroken, Unavailable
from consent_service.services import consent_papers, erasure, upkeep
from consent_service.services.access import job_caller
from consent_service.services.reconcile import reconcile
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring_values import KeyStatus
from tests.services.test_consent_papers import _keys_of_papers, _on_paper
from tests.services.test_standing import Says
from tests.support.clinic import Clinic, Family, sample_scan

FAULTS = pytest.mark.parametrize("fault", [JournalBroken("It was cut."), Unavailable("Away.")])


@pytest.fixture
def says(clinic: Clinic) -> Says:
    """A watch of the clinic that says what a test tells it to."""
    watch = Says()
    clinic.ctx.standing.follow(watch)
    return watch


def agreed(clinic: Clinic) -> Family:
    """A family who agreed to being filmed, and was."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    clinic.stores_film(family)
    return family


def answers(clinic: Clinic, family: Family, *, no: frozenset[str] = frozenset()) -> None:
    """The mother answers again, for herself alone."""
    about = frozenset({family.mother})
    given = clinic.answers(family, family.mother, no=no, about=about)
    clinic.captures(family, family.mother, given)
    clinic.passes(minutes=1)


def lines_of_keys(clinic: Clinic) -> int:
    return sum(line.kind is LineKind.KEY_DESTROYED for line in clinic.ctx.journal.lines())


def test_a_step_that_waits_for_its_next_try_asks_nothing_of_the_journal(
    clinic: Clinic, says: Says
) -> None:
    """One film that a store cannot delete must not cost a bucket ten questions every two seconds."""
    family = agreed(clinic)
    says.fault = Unavailable("Away.")
    clinic.withdraws(family, family.mother)
    says.fault = None
    with clinic.ctx.begin() as uow:
        first = uow.session.scalars(select(ErasureStep).order_by(ErasureStep.position)).first()
        assert first is not None
        first.state, first.next_try_at = StepState.FAILED, uow.at + timedelta(minutes=5)
    says.looks = 0

    assert erasure.work(clinic.ctx, "worker") == {"steps_done": 0, "steps_failed": 0}
    assert says.looks == 0
    clinic.passes(minutes=5)
    assert erasure.work(clinic.ctx, "worker")["steps_done"] == len(StepKind)


def test_where_one_order_may_not_be_begun_the_next_is_not_tried(clinic: Clinic, says: Says) -> None:
    """Each try may wait a minute, and a parent waits for their page meanwhile."""
    says.fault = Unavailable("Away.")
    done = []
    for _ in range(3):
        family = agreed(clinic)
        done.append(clinic.withdraws(family, family.mother).erasure_order)
    says.looks = 0

    erasure.carry_out_all(clinic.ctx, [order for order in done if order], "at-once")

    assert says.looks == 1
    says.fault = None
    erasure.carry_out_all(clinic.ctx, [order for order in done if order], "at-once")
    assert all(erasure.carry_out(clinic.ctx, order, "again") for order in done if order)


@FAULTS
def test_the_key_of_an_older_yes_stays_while_the_journal_forbids_to_destroy(
    clinic: Clinic, says: Says, fault: ConsentServiceError
) -> None:
    """The act stands and film opens under the newer yes; what cannot be undone waits."""
    family = agreed(clinic)
    (old,) = [k for k, state in _states(clinic, family).items() if state is KeyStatus.LIVE]
    began = clinic.clock.now()
    answers(clinic, family, no=frozenset({"CARE.FILM.SELF"}))
    says.fault = fault

    answers(clinic, family)

    assert _states(clinic, family)[old] is KeyStatus.SEALED
    assert lines_of_keys(clinic) == 0
    with pytest.raises(type(fault)):
        upkeep.make_keys(clinic.ctx, began)
    says.fault = None
    upkeep.make_keys(clinic.ctx, began)
    assert _states(clinic, family)[old] is KeyStatus.DESTROYED
    assert lines_of_keys(clinic) > 0


@FAULTS
def test_a_replaced_scan_is_kept_from_view_and_its_key_waits_for_the_journal(
    clinic: Clinic, says: Says, fault: ConsentServiceError
) -> None:
    """The right scan must not be refused; the wrong one's key goes with the daily comparison."""
    act = _on_paper(clinic, clinic.family())
    consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan()])
    (first,) = _keys_of_papers(clinic)
    says.fault = fault

    consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan("black")])

    assert len(_keys_of_papers(clinic)) == 2
    assert lines_of_keys(clinic) == 0
    with pytest.raises(type(fault)):
        reconcile(clinic.ctx, job_caller("reconcile"))
    assert reconcile(clinic.ctx, job_caller("reconcile"), repair=False).findings
    says.fault = None
    for _ in range(2):
        clinic.passes(hours=25)
        reconcile(clinic.ctx, job_caller("reconcile"))
    assert clinic.ctx.keyring.status([first])[first] is KeyStatus.DESTROYED


def _states(clinic: Clinic, family: Family) -> dict[str, KeyStatus]:
    with clinic.ctx.read() as session:
        found = yes_decisions(session, family.involvement, family.mother, "care")
    return dict(clinic.ctx.keyring.status(found))
