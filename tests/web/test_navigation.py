"""The menu says where one is."""

import re

import pytest

from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages


@pytest.mark.parametrize(
    ("address", "entry"),
    [
        ("/governance", "Overview"),
        ("/governance/disputes", "Overview"),
        ("/governance/late-consents", "Papers to check"),
        ("/retention/schedule", "Due items"),
        ("/families", "My families"),
    ],
)
def test_one_entry_of_the_menu_is_where_one_is(
    pages: Pages, clinic: Clinic, family: Family, address: str, entry: str
) -> None:
    """Two marked entries would tell a reader, and a screen reader, of two places at once."""
    page = pages.as_("ig").opens(address).get_data(as_text=True)

    marked = re.findall(r'aria-current="true">\s*(?:<strong[^>]*>)?([^<]+)', page)
    assert marked == [entry]
