"""Which film is "Film 2", whatever order films were begun and came in."""

from consent_service.db.queries.film_numbers import numbered
from consent_service.services import recordings
from tests.support.clinic import Clinic, Family, sample_film


def _numbers(clinic: Clinic, family: Family) -> dict[str, int]:
    with clinic.ctx.read() as session:
        return {one.asset: one.number for one in numbered(session, [family.involvement]).values()}


def test_film_that_comes_in_late_takes_no_other_films_number(clinic: Clinic) -> None:
    """A phone without a network sends on Friday what it filmed on Monday; notes name Film 1."""
    family = clinic.family()
    clinic.both_consent(family)
    wanted = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    late = recordings.reserve(clinic.ctx, clinic.guider, wanted).id
    clinic.passes(minutes=5)
    first = clinic.stores_film(family).id
    assert _numbers(clinic, family) == {first: 1}

    clinic.passes(minutes=5)
    recordings.receive(clinic.ctx, clinic.guider, late, [sample_film()])

    assert _numbers(clinic, family) == {first: 1, late: 2}
