"""What a device keeps of a family once they have left, and a page with nothing to do on it."""

from datetime import date

import pytest

from consent_service.db.models.people import Person
from consent_service.domain.links import LinkKind
from consent_service.web import languages
from tests.support.clinic import Clinic, Family
from tests.support.own_links import holding, make_link
from tests.support.pages import Pages, words


@pytest.fixture(autouse=True)
def in_a_demo(clinic: Clinic) -> None:
    """The data folder says that its families are invented: every language is offered."""
    clinic.ctx.settings.under_data("DEMO").touch()


def test_leaving_takes_the_chosen_language_with_it(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """On a shared telephone the next reader would see in which language the last one read."""
    visitor = holding(pages, make_link(clinic, family))
    visitor.opens("/own?language=cy")
    assert visitor.client.get_cookie(languages.COOKIE) is not None

    visitor.opens("/own/leave")

    assert visitor.client.get_cookie(languages.COOKIE) is None
    assert 'lang="en"' in visitor.opens("/link/never-made").get_data(as_text=True)


def test_deciding_later_takes_the_chosen_language_with_it_too(pages: Pages, clinic: Clinic) -> None:
    """It is a way of leaving as well; the page itself is still in the reader's language."""
    visitor = holding(pages, make_link(clinic, clinic.family(), LinkKind.CONSENT))
    visitor.opens("/own/consent?language=cy")

    later = visitor.posts("/own/consent/later")

    assert '<html lang="cy"' in later.get_data(as_text=True)
    assert visitor.client.get_cookie(languages.COOKIE) is None


def test_a_choice_is_kept_no_longer_than_a_link_stays_open(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Who walks away without leaving has left all the same."""
    visitor = holding(pages, make_link(clinic, family))

    chosen = visitor.opens("/own?language=cy")

    kept = next(c for c in chosen.headers.getlist("Set-Cookie") if languages.COOKIE in c)
    assert "Max-Age=7200" in kept


def test_a_page_on_which_nobody_can_be_stopped_says_so(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A date of birth put right can leave a link without anybody to speak for."""
    visitor = holding(pages, make_link(clinic, family))
    with clinic.ctx.begin() as uow:
        uow.session.get_one(Person, family.mother).born_on = date(2026, 1, 1)
        uow.session.get_one(Person, family.baby).born_on = date(1990, 1, 1)

    shown = visitor.opens("/own/stop")

    assert shown.status_code == 200
    assert "There is nobody for whom you can stop film by this link." in words(shown)
