"""The receipt of a stop for a child named work with the child that this parent had no part in."""

import subprocess

from consent_service.services import papers
from tests.support.clinic import Clinic
from tests.support.safe import agrees_elsewhere


def test_a_receipt_names_no_work_that_its_reader_has_no_part_in(clinic: Clinic) -> None:
    """A coercive partner may stop film of the child; that must not tell him that she has left."""
    family = clinic.family()
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    other = agrees_elsewhere(clinic, family)
    clinic.stores_film(other, depicted=(family.mother, family.baby))
    clinic.passes(hours=1)
    stopped = clinic.withdraws(family, family.baby, by=family.father)

    receipt = papers.withdrawal_receipt(clinic.ctx, clinic.guider, stopped.id)

    words = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=receipt, capture_output=True, check=True
    ).stdout.decode()
    assert "Where else it has ended" not in words
    assert "Film of" not in words
    assert "disagree" not in words
