"""The receipt of a stop for a child named work with the child that this parent had no part in."""

import subprocess

from consent_service.domain.people import FamilyRole
from consent_service.services import involvements, papers
from tests.support.clinic import Clinic, Family


def _goes_elsewhere(clinic: Clinic, family: Family) -> Family:
    """The mother begins anew with the baby, without the father, and is filmed."""
    view = involvements.start_involvement(
        clinic.ctx,
        clinic.guider,
        involvements.InvolvementDetails(
            clinic.team,
            clinic.guider.id,
            (
                involvements.Member(family.mother, FamilyRole.PARENT),
                involvements.Member(family.baby, FamilyRole.BABY),
            ),
            clinic.today,
        ),
    )
    issues = {family.mother: clinic.gives_leaflet(view.id, family.mother)}
    found = Family(view.id, family.mother, family.father, family.baby, issues)
    clinic.captures(found, family.mother, clinic.answers(found, family.mother))
    clinic.stores_film(found, depicted=(family.mother, family.baby))
    return found


def test_a_receipt_names_no_work_that_its_reader_has_no_part_in(clinic: Clinic) -> None:
    """A coercive partner may stop film of the child; that must not tell him that she has left."""
    family = clinic.family()
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    _goes_elsewhere(clinic, family)
    clinic.passes(hours=1)
    stopped = clinic.withdraws(family, family.baby, by=family.father)

    receipt = papers.withdrawal_receipt(clinic.ctx, clinic.guider, stopped.id)

    words = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=receipt, capture_output=True, check=True
    ).stdout.decode()
    assert "Where else it has ended" not in words
    assert "Film of" not in words
    assert "disagree" not in words
