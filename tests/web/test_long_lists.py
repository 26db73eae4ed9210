"""Long lists as a page at a time: links on and back, a search, and a clear word for a bad link."""

import re
from html import unescape

import pytest
from werkzeug.test import TestResponse

from consent_service.db.models.people import Involvement
from consent_service.domain.holds import HoldKind
from consent_service.ids import new_id
from consent_service.services import holds
from consent_service.services.holds import PlaceHold
from consent_service.web.here import ROWS
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, words

FAMILY = re.compile(r'<a href="/families/([0-9a-f]{32})">')


def _more_families(clinic: Clinic, family: Family, many: int) -> None:
    """The same people in more involvements: what a list costs is its rows."""
    with clinic.ctx.begin() as uow:
        first = uow.session.get_one(Involvement, family.involvement)
        values = {c.name: getattr(first, c.name) for c in Involvement.__table__.columns}
        for _ in range(many):
            uow.session.add(Involvement(**values | {"id": new_id()}))


def _way(answer: TestResponse, rel: str) -> str | None:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', answer.get_data(as_text=True))
    return unescape(found[1]) if found else None


def _families(answer: TestResponse) -> list[str]:
    return FAMILY.findall(answer.get_data(as_text=True))


def _walk(visitor: Visitor, path: str) -> list[TestResponse]:
    answers = [visitor.opens(path)]
    while (following := _way(answers[-1], "next")) is not None:
        answers.append(visitor.opens(following))
    return answers


def test_my_families_come_in_pages_with_links_on_and_back(pages: Pages, clinic: Clinic) -> None:
    """A team of two hundred families waits for twenty-five, and needs no script to see the rest."""
    _more_families(clinic, clinic.family(), ROWS + 2)
    guider = pages.as_("guider")

    first, last = _walk(guider, "/families")

    assert len(_families(first)) == ROWS
    assert len(_families(last)) == 3
    assert not set(_families(first)) & set(_families(last))
    assert _way(first, "prev") is None
    back = _way(last, "prev")
    assert back is not None
    assert _families(guider.opens(back)) == _families(first)
    assert 'aria-label="More families"' in first.get_data(as_text=True)


def test_a_list_of_one_page_has_no_links_to_others(pages: Pages, clinic: Clinic) -> None:
    """A link that leads nowhere costs a tired person a click."""
    clinic.family()

    shown = pages.as_("guider").opens("/families")

    assert "nhsuk-pagination" not in shown.get_data(as_text=True)


def test_a_family_is_searched_from_the_list_and_said_what_comes_next(
    pages: Pages, clinic: Clinic
) -> None:
    """The name goes in the body of the request, never into an address; no script is needed."""
    family = clinic.family()
    guider = pages.as_("guider")
    listing = guider.opens("/families").get_data(as_text=True)

    assert 'action="/families/find"' in listing
    found = guider.posts("/families/find", text="mina")

    assert found.request.path == "/families/find"
    assert not found.request.query_string
    assert set(_families(found)) == {family.involvement}
    assert "What comes next: " in words(found)


def test_a_search_that_finds_too_many_says_so(pages: Pages, clinic: Clinic) -> None:
    """Otherwise the person who is not shown seems not to be there."""
    with clinic.ctx.begin() as uow:
        from consent_service.db.models.people import Person

        known = uow.session.get_one(Person, clinic.family().mother)
        values = {c.name: getattr(known, c.name) for c in Person.__table__.columns}
        for _ in range(51):
            uow.session.add(Person(**values | {"id": new_id(), "nhs_number": None}))

        name = known.full_name

    found = pages.as_("guider").sends("/families/find", text=name)

    assert found.get_data(as_text=True).count("nhsuk-card__heading") == 50
    assert "Enter more of the name" in words(found)


LISTS = {
    "/families": "guider",
    "/holds": "ig",
    "/certificates": "ig",
    "/retention/due": "ig",
    "/governance/erasures": "ig",
    "/governance/messages": "ig",
    "/subject-access": "ig",
    "/audit": "ig",
}


@pytest.mark.parametrize("path", sorted(LISTS))
def test_a_link_to_no_page_of_a_list_says_so(pages: Pages, path: str) -> None:
    """An old or mangled link must not be a fault of ours, nor show another page in silence."""
    answer = pages.as_(LISTS[path]).opens(f"{path}?cursor=AAAA")

    assert answer.status_code == 400
    assert "There is no such page of this list" in words(answer)


def test_holds_to_confirm_come_first_and_the_rest_on_the_next_page(
    pages: Pages, clinic: Clinic
) -> None:
    """What waits for a second person must not slip behind twenty-five others."""
    family = clinic.family()
    asked = PlaceHold(family.involvement, HoldKind.COMPLAINT, "The oldest of all")
    oldest = holds.place(clinic.ctx, clinic.ig, asked)
    clinic.passes(minutes=1)
    for n in range(ROWS):
        holds.place(
            clinic.ctx,
            clinic.ig,
            PlaceHold(family.involvement, HoldKind.COMPLAINT, f"Complaint number {n}"),
        )
    holds.ask_release(clinic.ctx, clinic.ig, oldest.id, "It is settled")

    first, last = _walk(pages.as_("ig2"), "/holds")

    assert "The oldest of all" in words(first)
    assert "Confirm the release" in words(first)
    assert words(first).count("Complaint number") == ROWS - 1
    assert words(last).count("Complaint number") == 1
    assert "The oldest of all" not in words(last)


def test_the_log_keeps_what_was_searched_for_from_page_to_page(
    pages: Pages, clinic: Clinic
) -> None:
    """The second page of a search must not be the second page of everything."""
    family = clinic.family()
    _hold_many(clinic, family, 55)

    first, last = _walk(pages.as_("ig"), "/audit?kind=hold.placed")

    told = re.findall("placed hold [0-9a-f]{32}", words(first) + words(last))
    assert len(set(told)) == 55
    assert "kind=hold.placed" in (_way(first, "next") or "")
    assert _way(last, "prev") is not None


def _hold_many(clinic: Clinic, family: Family, many: int) -> None:
    for _ in range(many):
        asked = PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint came in.")
        holds.place(clinic.ctx, clinic.ig, asked)
