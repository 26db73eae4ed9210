"""A material change of a form: who is asked again, what waits for it, and which version counts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from consent_service.domain.answers import GivenAnswer
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Capacity, ConsentState, SignatureKind
from consent_service.domain.form_changes import ChangeKind
from consent_service.domain.withdrawal import Route
from consent_service.errors import InvalidInput, Refused
from consent_service.services import (
    consent,
    cutting,
    form_library,
    invalidation,
    policies,
    reconsents,
)
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.databases import Databases
from tests.support.forms import add_version, clinic_with_own_policies


@pytest.fixture
def clinic(databases: Databases, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic whose folder holds a second version of the form, published by no one yet."""
    with clinic_with_own_policies(databases, tmp_path) as clinic:
        yield clinic


def _publishes_v2(clinic: Clinic, *, material: bool = True) -> None:
    add_version(clinic)
    policies.publish(clinic.ctx, clinic.ig, "consent-forms/vig/v2", material=material)


def _waiting(clinic: Clinic) -> set[str]:
    return {one.person for one in reconsents.waiting(clinic.ctx, clinic.guider)}


def _paper(
    clinic: Clinic,
    family: Family,
    person: str,
    said_at: datetime,
    version: int | None,
    answers: tuple[GivenAnswer, ...],
) -> consent.ConsentActView:
    return consent.capture(
        clinic.ctx,
        clinic.guider,
        consent.CaptureConsent(
            involvement=family.involvement,
            person=person,
            form="vig",
            language="en",
            leaflet_issue=family.issues[person],
            route=Route.PAPER,
            capacity=Capacity.NO_DOUBT,
            answers=answers,
            signature=consent.Signature(SignatureKind.PAPER, {"kept_at": "cabinet 3"}),
            event_at=said_at,
            version=version,
        ),
    )


def test_a_material_change_puts_everybody_who_said_yes_on_the_list(clinic: Clinic) -> None:
    """They agreed to other words: each is to be asked, their guider is told, the log says so."""
    family = clinic.family()
    clinic.both_consent(family)
    assert _waiting(clinic) == set()

    _publishes_v2(clinic)

    (mother, father) = sorted(
        reconsents.waiting(clinic.ctx, clinic.guider, family.involvement),
        key=lambda one: one.person != family.mother,
    )
    assert (mother.person, father.person) == (family.mother, family.father)
    assert (mother.form, mother.answered_version, mother.current_version) == ("vig", 1, 2)
    told = [n.kind for n in whole_lists.inbox(clinic.ctx, clinic.guider)]
    assert told == ["reconsent_needed"]
    asked = clinic.written_down(EventKind.RECONSENT_ASKED)
    assert {entry.event.subject for entry in asked} == {family.mother, family.father}


def test_a_change_that_is_not_material_asks_nobody_again(clinic: Clinic) -> None:
    """A comma moved is no reason to trouble a family."""
    family = clinic.family()
    clinic.both_consent(family)

    _publishes_v2(clinic, material=False)

    assert _waiting(clinic) == set()
    assert clinic.stores_film(family).id


def test_film_that_is_stored_stays_and_every_new_use_waits(clinic: Clinic) -> None:
    """What was agreed to was agreed to; nothing more is done on words they have not seen."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    _publishes_v2(clinic)

    codes = []
    for use in (
        lambda: clinic.stores_film(family),
        lambda: cutting.clip(
            clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 1000, "A smile")
        ),
        lambda: cutting.still(clinic.ctx, clinic.guider, cutting.MakeStill(film.id, 500)),
    ):
        with pytest.raises(Refused) as refused:
            use()
        codes.append(refused.value.code)

    assert codes == ["reconsent_needed"] * 3
    assert clinic.watches(film.id)
    (state, *_) = [
        v
        for v in consent.state(clinic.ctx, clinic.ig, family.mother, None, None)
        if v.purpose == "care"
    ]
    assert state.state is ConsentState.GIVEN


def test_answering_the_newer_version_ends_the_waiting(clinic: Clinic) -> None:
    """Each leaves the list by their own answer; the film goes on once all have answered."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    _publishes_v2(clinic)
    clinic.passes(minutes=5)

    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    assert _waiting(clinic) == {family.father}
    clinic.passes(minutes=1)
    clinic.captures(family, family.father, clinic.answers(family, family.father))

    assert _waiting(clinic) == set()
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 1000, "A smile"))
    assert clinic.watches(clip.id)


def test_whoever_ended_it_all_is_not_asked_again(clinic: Clinic) -> None:
    """A form that changed is no excuse to come back to somebody who said stop."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    clinic.withdraws(family, family.father)
    clinic.withdraws(family, family.baby, by=family.father)

    _publishes_v2(clinic)

    assert _waiting(clinic) == {family.mother}


def test_an_act_that_was_never_valid_answers_nothing(clinic: Clinic) -> None:
    """The wrong person went through the new form: the right one is still to be asked."""
    family = clinic.family()
    clinic.both_consent(family)
    _publishes_v2(clinic)
    clinic.passes(minutes=5)
    act = clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    assert _waiting(clinic) == {family.father}

    invalidation.invalidate(
        clinic.ctx, clinic.ig, act.id, invalidation.InvalidBecause.WRONG_PERSON, "Her sister came"
    )

    assert _waiting(clinic) == {family.mother, family.father}


def test_an_older_version_cannot_be_answered_once_a_newer_is_current(clinic: Clinic) -> None:
    """In person there is one form: today's."""
    family = clinic.family()
    answers = clinic.answers(family, family.mother)
    _publishes_v2(clinic, material=False)

    with pytest.raises(InvalidInput) as refused:
        consent.capture(
            clinic.ctx,
            clinic.guider,
            consent.CaptureConsent(
                involvement=family.involvement,
                person=family.mother,
                form="vig",
                language="en",
                leaflet_issue=family.issues[family.mother],
                route=Route.IN_PERSON,
                capacity=Capacity.NO_DOUBT,
                answers=answers,
                signature=consent.Signature(SignatureKind.TYPED, {"name": "Rosa Invented"}),
                event_at=clinic.clock.now(),
                version=1,
            ),
        )

    assert set(refused.value.faults) == {"version"}


def test_a_process_that_serves_on_asks_what_was_published_meanwhile(clinic: Clinic) -> None:
    """Publishing must not close the pages of every guider until somebody restarts the service."""
    family, as_it_began = clinic.family(), clinic.ctx
    _publishes_v2(clinic)

    asked = consent.questions(
        as_it_began, clinic.guider, consent.AskForm(family.involvement, family.mother, "vig", "en")
    )

    assert asked.form.version == 2
    assert "UND.RECORDS" in {question.statement.code for question in asked.questions}


def test_paper_counts_on_the_version_that_was_current_when_it_was_signed(clinic: Clinic) -> None:
    """What was signed on Monday's form is written down on Monday's words, whatever came since."""
    family = clinic.family()
    signed_at = clinic.clock.now()
    answers = clinic.answers(family, family.mother)
    clinic.passes(days=2)
    _publishes_v2(clinic)
    clinic.passes(days=1)

    asked = consent.questions(
        clinic.ctx,
        clinic.guider,
        consent.AskForm(
            family.involvement, family.mother, "vig", "en", clinic.today - timedelta(days=3)
        ),
    )
    act = _paper(clinic, family, family.mother, signed_at, None, answers)

    assert (asked.form.version, act.form_version, act.recorded_late) == (1, 1, True)
    with pytest.raises(InvalidInput) as newer:
        _paper(clinic, family, family.mother, signed_at, 2, answers)
    assert set(newer.value.faults) == {"version"}
    with pytest.raises(InvalidInput) as older:
        _paper(clinic, family, family.mother, clinic.clock.now(), 1, answers)
    assert set(older.value.faults) == {"version"}


def test_what_changed_is_shown_line_by_line(clinic: Clinic) -> None:
    """A parent is shown the difference, not asked to find it."""
    add_version(clinic)
    policies.publish(clinic.ctx, clinic.ig, "consent-forms/vig/v2", material=True)

    changes = form_library.changes(clinic.ctx, "vig", 1, 2, "en")

    kinds = {line.code: line.kind for line in changes.lines}
    assert kinds == {
        "UND.STOP": ChangeKind.CHANGED,
        "UND.RECORDS": ChangeKind.ADDED,
        "FB.QUOTE": ChangeKind.REMOVED,
    }
    (stop,) = [line for line in changes.lines if line.code == "UND.STOP"]
    assert stop.before != stop.after
    assert "right away" in " ".join(stop.after)
