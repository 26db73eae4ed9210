"""Two people at once: one of them is told so in a sentence, and nothing is done twice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Barrier, Thread

from consent_service.domain.audit import EventKind
from consent_service.domain.holds import HoldKind
from consent_service.errors import ConsentServiceError, Stale
from consent_service.services import handovers, holds, people
from tests.support.clinic import Clinic

SAME = "9990000018"


def _at_once(acts: Sequence[Callable[[], object]]) -> list[Exception]:
    """Run acts in threads that start together; returns what they raised."""
    together, raised = Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        together.wait()
        try:
            act()
        except Exception as fault:  # noqa: BLE001  (whatever it is, the test looks at it)
            raised.append(fault)

    threads = [Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_a_number_taken_at_the_same_moment_is_refused_in_words(clinic: Clinic) -> None:
    """Two guiders who register the same baby must not see a fault page, and one record stands."""

    def register() -> None:
        details = people.PersonDetails(clinic.team, "Mina Invented", nhs_number=SAME)
        people.create_person(clinic.ctx, clinic.guider, details)

    raised = _at_once([register] * 4)

    assert len(raised) == 3
    assert all(isinstance(fault, ConsentServiceError) for fault in raised), raised
    assert len(people.find_people(clinic.ctx, clinic.guider, SAME)) == 1


def test_a_change_made_by_two_keeps_one_and_tells_the_other(clinic: Clinic) -> None:
    """The second must look again before they overwrite what the first has just written."""
    details = people.PersonDetails(clinic.team, "Rosa Invented")
    person = people.create_person(clinic.ctx, clinic.guider, details)

    def change(name: str) -> None:
        people.change_person(
            clinic.ctx, clinic.guider, person.id, replace(details, full_name=name), person.version
        )

    raised = _at_once([partial(change, name) for name in ("Ros", "Rose", "Ro", "Rosi")])

    assert [type(fault) for fault in raised] == [Stale] * 3, raised


def test_a_quote_is_withdrawn_once(clinic: Clinic) -> None:
    """The log says when leave ended; two entries would leave the day in doubt."""
    family = clinic.family()
    quote = handovers.permit_quote(
        clinic.ctx,
        clinic.guider,
        handovers.PermitQuote(
            family.involvement,
            family.mother,
            "It helped us.",
            "Leaflet",
            clinic.today + timedelta(days=30),
        ),
    )

    raised = _at_once([lambda: handovers.withdraw_quote(clinic.ctx, clinic.guider, quote)] * 4)

    assert [getattr(fault, "code", fault) for fault in raised] == ["already_withdrawn"] * 3
    assert len(clinic.written_down(EventKind.QUOTE_WITHDRAWN)) == 1


def test_a_hold_is_released_once(clinic: Clinic) -> None:
    """A second release would order the same destruction anew and blur who let it go."""
    family = clinic.family()
    placed = holds.place(
        clinic.ctx, clinic.ig, holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "Letter 12")
    )
    holds.ask_release(clinic.ctx, clinic.ig, placed.id, "Answered")

    raised = _at_once([lambda: holds.confirm_release(clinic.ctx, clinic.ig2, placed.id)] * 4)

    assert [getattr(fault, "code", fault) for fault in raised] == ["already_released"] * 3
    assert len(clinic.written_down(EventKind.HOLD_RELEASED)) == 1


def test_reading_sees_one_moment(clinic: Clinic) -> None:
    """Consent is read in several statements: half before and half after a stop is no state."""
    first = people.PersonDetails(clinic.team, "Rosa Invented")
    person = people.create_person(clinic.ctx, clinic.guider, first)
    with clinic.ctx.read() as session:
        before = (
            session.connection().exec_driver_sql("SELECT full_name FROM person").scalars().all()
        )
        people.change_person(
            clinic.ctx,
            clinic.guider,
            person.id,
            people.PersonDetails(clinic.team, "Rosa Changed"),
            person.version,
        )
        after = session.connection().exec_driver_sql("SELECT full_name FROM person").scalars().all()

    assert before == after == ["Rosa Invented"]
