"""Recordings come in: permitted by everyone, encrypted as they arrive, stored or gone."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from consent_service.db.models.consent import ConsentAct
from consent_service.db.models.people import InvolvementPerson
from consent_service.db.models.policies import PublishedPolicy
from consent_service.domain.assets import AssetState, RecordClass
from consent_service.domain.audit import EventKind
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.errors import (
    Gone,
    InvalidInput,
    NotFound,
    Refused,
    TooLarge,
)
from consent_service.ids import new_id
from consent_service.services import people, recordings
from consent_service.services.access import job_caller
from consent_service.vault.keyring import KeyKind, KeyStatus
from tests.support.clinic import Clinic, Family, sample_film

JOB = job_caller("abandon-stale")


def _reserve(clinic: Clinic, family: Family, **more: object) -> recordings.AssetView:
    values: dict[str, object] = {"depicted": family.everyone, "filmed_on": clinic.today}
    request = recordings.ReserveFilm(family.involvement, **(values | more))  # type: ignore[arg-type]
    return recordings.reserve(clinic.ctx, clinic.guider, request)


def _live_asset_keys(clinic: Clinic) -> set[str]:
    entries = list(clinic.ctx.keyring.list_keys(kind=KeyKind.ASSET))
    states = clinic.ctx.keyring.status([e.key_id for e in entries])
    return {key for key, state in states.items() if state is KeyStatus.LIVE}


def test_a_film_needs_the_yes_of_everyone_in_it_and_names_who_is_missing(clinic: Clinic) -> None:
    """The guider has to know whom to ask, before the camera is switched on."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family)

    assert refused.value.code == "consent_missing"
    assert refused.value.details["missing"] == [
        {"person": family.father, "purpose": CARE, "state": "not_asked"}
    ]
    (written,) = clinic.written_down(EventKind.RECORDING_REFUSED)
    assert written.event.details["missing"] == [family.father]
    assert recordings.assets(clinic.ctx, clinic.guider, family.involvement) == []
    assert _reserve(clinic, family, depicted=(family.mother, family.baby)).id


def test_parents_who_disagree_about_their_child_freeze_filming(clinic: Clinic) -> None:
    """One parent's yes does not outweigh the other's no: nobody films until it is settled."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.withdraws(family, family.baby, by=family.father)

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family)

    assert refused.value.code == "access_frozen"


def test_a_material_change_of_the_form_is_asked_before_the_next_film(clinic: Clinic) -> None:
    """People agreed to other words: film kept stays theirs, new film waits for their answer."""
    family = clinic.family()
    clinic.both_consent(family)
    old = clinic.stores_film(family)
    with clinic.ctx.begin() as uow:
        uow.session.add(
            PublishedPolicy(
                id=new_id(),
                path="consent-forms/vig/v2",
                digest="0" * 64,
                files={},
                material=True,
                published_at=uow.at,
                published_by=clinic.ig.id,
            )
        )

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family)

    assert refused.value.code == "reconsent_needed"
    assert {one["person"] for one in refused.value.details["asked"]} == set(family.everyone)
    assert clinic.watches(old.id)


def test_film_from_before_the_consent_is_refused(clinic: Clinic) -> None:
    """Permission to film comes before filming (rule 11); a later yes does not reach back."""
    family = clinic.family()
    clinic.passes(days=3)
    clinic.both_consent(family)

    with pytest.raises(Refused) as refused:
        _reserve(clinic, family, filmed_on=clinic.today - timedelta(days=1))

    assert refused.value.code == "consent_missing"


def test_every_fault_of_a_reservation_is_named_by_field(clinic: Clinic) -> None:
    """The father cannot be called staff to spare asking him, nor a stranger filmed."""
    family = clinic.family()
    clinic.both_consent(family)

    with pytest.raises(InvalidInput) as refused:
        _reserve(
            clinic,
            family,
            depicted=(family.mother, new_id()),
            present=(family.father,),
            filmed_on=clinic.today + timedelta(days=1),
            declared_size=0,
        )

    assert set(refused.value.faults) == {"depicted", "present", "filmed_on", "declared_size"}
    with pytest.raises(NotFound):
        _reserve(clinic, family, meeting=new_id())


def test_another_teams_guider_cannot_tell_that_a_family_or_film_exists(clinic: Clinic) -> None:
    """An id of another team's family looks like one that does not exist."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    stranger = replace(clinic.guider, teams=frozenset({new_id()}))
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    with pytest.raises(NotFound):
        recordings.reserve(clinic.ctx, stranger, request)
    with pytest.raises(NotFound):
        recordings.asset(clinic.ctx, stranger, film.id)
    with pytest.raises(Refused):
        recordings.reserve(clinic.ctx, clinic.ig, request)


def test_a_declared_giant_is_refused_before_a_byte_is_read(clinic: Clinic) -> None:
    """Five gigabytes must not travel first and be refused after."""
    family = clinic.family()
    clinic.both_consent(family)

    with pytest.raises(TooLarge):
        _reserve(clinic, family, declared_size=5 * 2**30)

    assert recordings.assets(clinic.ctx, clinic.guider, family.involvement) == []


def test_long_film_needs_a_reason_and_longer_film_is_refused(clinic: Clinic) -> None:
    """As little film as will do: the guider is asked why, and nothing is kept without an answer."""
    family = clinic.family()
    clinic.both_consent(family)
    limits = replace(clinic.ctx.policies.organisation.film_length, ask_from_minutes=0)
    asking = _with_limits(clinic, limits)
    refusing = _with_limits(clinic, replace(limits, refuse_from_minutes=0))
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    with pytest.raises(InvalidInput) as asked:
        recordings.store(asking.ctx, clinic.guider, request, [sample_film()])
    with pytest.raises(InvalidInput) as refused:
        recordings.store(refusing.ctx, clinic.guider, request, [sample_film()])

    assert asked.value.code == "reason_needed"
    assert refused.value.code == "film_too_long"
    assert clinic.objects() == set()
    told = replace(request, reason_for_length="The feed took that long.")
    view = recordings.store(asking.ctx, clinic.guider, told, [sample_film()])
    assert view.state is AssetState.STORED


def test_the_class_is_the_one_that_the_forms_printed(clinic: Clinic) -> None:
    """Deciding otherwise later does not change what these people were promised (rule 7)."""
    family = clinic.family()
    clinic.both_consent(family)
    with clinic.ctx.begin() as uow:
        act = uow.session.scalars(
            select(ConsentAct).where(ConsentAct.person_id == family.father)
        ).one()
        act.record_class = RecordClass.HEALTH_RECORD.value

    theirs = clinic.stores_film(family)
    hers = clinic.stores_film(family, depicted=(family.mother,))

    assert theirs.record_class is RecordClass.HEALTH_RECORD
    assert hers.record_class is RecordClass.TRANSITORY


def test_staff_behind_the_camera_are_recorded_without_a_key(clinic: Clinic) -> None:
    """A guider's voice is no reason to ask the guider, and opens or closes no film."""
    family = clinic.family()
    clinic.both_consent(family)
    staff = _adds_staff(clinic, family)

    view = _reserve(clinic, family, present=(staff,))
    recordings.receive(clinic.ctx, clinic.guider, view.id, [sample_film()])

    assert (view.present, set(view.depicted)) == ((staff,), set(family.everyone))
    assert clinic.watches(view.id)


def test_a_reservation_that_never_became_a_film_is_erased_after_a_day(clinic: Clinic) -> None:
    """A browser that was closed leaves a row and a key, which must not lie about for ever."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)
    with clinic.ctx.blobs.put(f"{reserved.id}.0") as sink:
        sink.write(b"what a killed process left")
    clinic.passes(hours=23)
    assert recordings.abandon_stale(clinic.ctx, JOB) == []

    clinic.passes(hours=2)
    abandoned = recordings.abandon_stale(clinic.ctx, JOB)

    assert abandoned == [reserved.id]
    assert clinic.objects() == set()
    assert _live_asset_keys(clinic) == set()
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED
    with pytest.raises(Gone):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, [sample_film()])


def _with_limits(clinic: Clinic, limits: object) -> Clinic:
    organisation = replace(clinic.ctx.policies.organisation, film_length=limits)  # type: ignore[arg-type]
    policies = replace(clinic.ctx.policies, organisation=organisation)
    return replace(clinic, ctx=replace(clinic.ctx, policies=policies))


def _adds_staff(clinic: Clinic, family: Family) -> str:
    staff = people.create_person(
        clinic.ctx, clinic.guider, people.PersonDetails(clinic.team, "Test Guider", None)
    ).id
    with clinic.ctx.begin() as uow:
        uow.session.add(
            InvolvementPerson(
                involvement_id=family.involvement,
                person_id=staff,
                role=FamilyRole.STAFF,
                added_at=uow.at,
            )
        )
    return staff
