"""Whoever asked for a baby's record got what the other parent had said while the baby was there."""

from consent_service.db.models.people import Person
from consent_service.domain.people import MeetingKind, MeetingMode
from consent_service.services import held_about, involvements, people
from tests.support.clinic import Clinic

SECRETS = ("She is thinking of leaving.", "Ring her sister only.")


def test_a_childs_record_holds_nothing_that_a_parent_said_in_confidence(clinic: Clinic) -> None:
    """A coercive partner has parental responsibility too, and may ask for the baby's record."""
    family = clinic.family()
    worries, safe_contact = SECRETS
    found = people.person(clinic.ctx, clinic.guider, family.baby)
    details = people.PersonDetails(
        clinic.team, found.full_name, found.born_on, safe_contact=safe_contact
    )
    people.change_person(clinic.ctx, clinic.guider, family.baby, details, found.version)
    involvements.record_meeting(
        clinic.ctx,
        clinic.guider,
        involvements.MeetingDetails(
            family.involvement,
            MeetingKind.FIRST_TALK,
            MeetingMode.HOME,
            clinic.today,
            people=(family.mother, family.baby),
            worries=worries,
        ),
    )

    with clinic.ctx.read() as session:
        of_baby = held_about.everything(
            clinic.ctx, session, session.get_one(Person, family.baby), clinic.clock.now()
        )
        of_mother = held_about.everything(
            clinic.ctx, session, session.get_one(Person, family.mother), clinic.clock.now()
        )

    assert not any(secret in repr(of_baby.topics) for secret in SECRETS)
    assert held_about.OF_ADULTS in of_baby.left_out
    assert len(of_baby.topics["meetings"]) == 1
    assert worries in repr(of_mother.topics)
