"""A leaflet can be given from its issue date until the day before its archive date."""

from datetime import date

import pytest

from consent_service.domain.leaflets import LeafletStatus, LeafletVersion, current_version


def leaflet(version: int, issued_on: date, archive_on: date) -> LeafletVersion:
    return LeafletVersion("T1", version, issued_on, archive_on, "Owner", "Title")


OLD = leaflet(1, date(2023, 3, 1), date(2026, 3, 1))
NEW = leaflet(2, date(2025, 12, 1), date(2028, 12, 1))


@pytest.mark.parametrize(
    ("day", "status", "giveable"),
    [
        (date(2023, 2, 28), LeafletStatus.FORTHCOMING, False),
        (date(2023, 3, 1), LeafletStatus.CURRENT, True),
        (date(2025, 8, 31), LeafletStatus.CURRENT, True),
        (date(2025, 9, 1), LeafletStatus.IN_REVIEW, True),
        (date(2026, 2, 28), LeafletStatus.IN_REVIEW, True),
        (date(2026, 3, 1), LeafletStatus.ARCHIVED, False),
    ],
)
def test_the_day_decides_what_a_leaflet_is(
    day: date, status: LeafletStatus, giveable: bool
) -> None:
    """An archived leaflet tells parents what is no longer true."""
    assert OLD.status_on(day) is status
    assert OLD.may_be_given_on(day) is giveable


def test_the_review_starts_as_early_as_the_policy_says() -> None:
    """The owner needs time to write the next version."""
    assert OLD.review_from() == date(2025, 9, 1)
    assert OLD.status_on(date(2026, 1, 31), review_months=1) is LeafletStatus.CURRENT


def test_the_newest_version_that_may_be_given_is_current() -> None:
    """Two versions may overlap while the old stock is used up."""
    assert current_version((NEW, OLD), date(2026, 1, 1)) is NEW
    assert current_version((OLD, NEW), date(2025, 1, 1)) is OLD
    assert current_version((OLD, NEW), date(2030, 1, 1)) is None


def test_the_control_line_prints_day_month_year() -> None:
    """It is what staff compare with the paper in their hand."""
    assert OLD.control_line == "T1, V1, 01/03/2023 (Archive: 01/03/2026)"
    assert OLD.languages == ()
