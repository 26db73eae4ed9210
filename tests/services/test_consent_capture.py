"""What an act of consent is refused for, and what it is bound to."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from consent_service.domain.answers import GivenAnswer
from consent_service.domain.consent import Answer, Capacity, ConsentState, SignatureKind
from consent_service.domain.forms import text_digest
from consent_service.domain.withdrawal import Route
from consent_service.errors import InvalidInput, NotFound, Refused
from consent_service.services import consent, disputes
from consent_service.vault.keyring_values import KeyKind, Zone
from tests.support.clinic import Clinic, Family


def _act(clinic: Clinic, family: Family, **more: object) -> consent.CaptureConsent:
    values: dict[str, object] = {
        "involvement": family.involvement,
        "person": family.mother,
        "form": "vig",
        "language": "en",
        "leaflet_issue": family.issues[family.mother],
        "route": Route.IN_PERSON,
        "capacity": Capacity.NO_DOUBT,
        "answers": clinic.answers(family, family.mother),
        "signature": consent.Signature(SignatureKind.TYPED, {"name": "Invented Person"}),
        "event_at": clinic.clock.now(),
    }
    return consent.CaptureConsent(**(values | more))  # type: ignore[arg-type]


def _care(clinic: Clinic, person: str) -> ConsentState:
    views = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return next(v.state for v in views if v.purpose == "care")


def test_an_act_is_bound_to_the_exact_words(clinic: Clinic) -> None:
    """Years later anyone must be able to prove which words were agreed to."""
    family = clinic.family()
    asked = consent.questions(
        clinic.ctx, clinic.guider, consent.AskForm(family.involvement, family.mother, "vig", "en")
    )

    act = consent.capture(clinic.ctx, clinic.guider, _act(clinic, family))

    assert act.rendered_text == asked.text
    assert act.rendered_sha256 == text_digest(asked.text) == asked.digest
    assert (act.leaflet_code, act.leaflet_version, act.form_version) == ("L1111", 2, 1)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("event_at", {"hours": 2}),
        ("signature", consent.Signature(SignatureKind.TYPED, {"name": " "})),
        ("signature", consent.Signature(SignatureKind.DRAWN, {"strokes": []})),
        ("signature", consent.Signature(SignatureKind.PAPER, {})),
        ("answers", ()),
    ],
)
def test_each_fault_of_an_act_is_named_and_nothing_is_written(
    clinic: Clinic, field: str, change: object
) -> None:
    """Never half a change: a refused act leaves no row and no key."""
    family = clinic.family()
    value = clinic.clock.now() + timedelta(**change) if field == "event_at" else change  # type: ignore[arg-type]

    with pytest.raises(InvalidInput) as refused:
        consent.capture(clinic.ctx, clinic.guider, _act(clinic, family, **{field: value}))

    assert field in refused.value.faults
    assert consent.acts(clinic.ctx, clinic.ig, family.involvement) == []
    assert list(clinic.ctx.keyring.list_keys()) == []


def test_a_consent_before_its_leaflet_or_after_a_death_is_refused(clinic: Clinic) -> None:
    """An act that cannot have happened must not be recorded as if it had."""
    family = clinic.family()

    with pytest.raises(InvalidInput) as refused:
        consent.capture(
            clinic.ctx,
            clinic.guider,
            _act(clinic, family, event_at=clinic.clock.now() - timedelta(days=2)),
        )

    assert "before the leaflet" in refused.value.faults["event_at"]


def test_a_foreign_leaflet_issue_or_person_is_not_found(clinic: Clinic) -> None:
    """Ids of another family look like ids that do not exist."""
    family, other = clinic.family(), clinic.family()

    with pytest.raises(NotFound):
        consent.capture(
            clinic.ctx,
            clinic.guider,
            _act(clinic, family, leaflet_issue=other.issues[other.mother]),
        )


def test_someone_who_lacks_capacity_now_cannot_answer_and_is_asked_again(clinic: Clinic) -> None:
    """No relative can consent instead; filming is refused until they are asked again."""
    family = clinic.family()
    later = clinic.today + timedelta(days=7)
    lacking = _act(clinic, family, capacity=Capacity.LACKS_NOW, answers=(), ask_again_on=later)

    act = consent.capture(clinic.ctx, clinic.guider, lacking)

    assert act.decisions == ()
    with pytest.raises(InvalidInput) as refused:
        consent.capture(
            clinic.ctx,
            clinic.guider,
            replace(lacking, answers=clinic.answers(family, family.mother), ask_again_on=None),
        )
    assert set(refused.value.faults) == {"answers", "ask_again_on"}


def test_a_no_is_an_outcome_and_makes_no_key(clinic: Clinic) -> None:
    """Refusal is as easy as consent, and as respected."""
    family = clinic.family()

    clinic.captures(
        family, family.mother, clinic.answers(family, family.mother, no=frozenset({"CARE.EDIT"}))
    )

    assert _care(clinic, family.mother) is ConsentState.DECLINED
    kinds = [e.kind for e in clinic.ctx.keyring.list_keys()]
    assert kinds.count(KeyKind.CONSENT) == 1  # the baby's, by the mother's yes for it


def test_a_paper_act_counts_only_after_a_second_pair_of_eyes(clinic: Clinic) -> None:
    """What was signed last week and typed in today is checked before it opens a film."""
    family = clinic.family()
    paper = _act(
        clinic,
        family,
        route=Route.PAPER,
        signature=consent.Signature(SignatureKind.PAPER, {"place": "scan"}),
    )
    act = consent.capture(clinic.ctx, clinic.guider, paper)
    assert act.recorded_late
    assert _care(clinic, family.mother) is ConsentState.NOT_ASKED

    clinic.attaches_scan(act.id)
    with pytest.raises(Refused):
        consent.check_late(clinic.ctx, replace(clinic.ig, user=clinic.guider.id), act.id)
    consent.check_late(clinic.ctx, clinic.ig, act.id)

    assert _care(clinic, family.mother) is ConsentState.GIVEN


def test_a_disputed_childs_keys_are_sealed_until_it_is_settled(clinic: Clinic) -> None:
    """While parents disagree no serving code can open the film; a settlement brings it back."""
    family = clinic.family()
    clinic.both_consent(family)
    no = (GivenAnswer("CARE.FILM.CHILD", family.baby, Answer.NO),)
    whole = tuple(
        a
        for a in clinic.answers(family, family.father)
        if (a.statement, a.about) != ("CARE.FILM.CHILD", family.baby)
    )

    clinic.captures(family, family.father, whole + no)

    assert _care(clinic, family.baby) is ConsentState.DISPUTED
    assert any(clinic.ctx.keyring.list_keys(zone=Zone.ESCROW))
    (dispute,) = disputes.standing(clinic.ctx, clinic.ig)
    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=True, reason="Court order seen")
    assert _care(clinic, family.baby) is ConsentState.GIVEN
    assert not any(clinic.ctx.keyring.list_keys(zone=Zone.ESCROW))


def test_state_is_answered_for_any_pair_of_moments(clinic: Clinic) -> None:
    """An auditor asks what held on a day, as it was known on another."""
    family = clinic.family()
    before = clinic.clock.now()
    clinic.passes(hours=1)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    then = consent.state(clinic.ctx, clinic.ig, family.mother, before, None)
    now = consent.state(clinic.ctx, clinic.ig, family.mother, None, None)

    assert {v.state for v in then if v.purpose == "care"} == {ConsentState.NOT_ASKED}
    assert {v.state for v in now if v.purpose == "care"} == {ConsentState.GIVEN}
    assert date(2026, 11, 2) == clinic.today
