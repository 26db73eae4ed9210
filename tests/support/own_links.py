"""Families' links in tests: made by the guider, opened in a browser, answered to the end."""

import re

from consent_service.domain.consent import Capacity, ConsentState
from consent_service.domain.links import LinkKind
from consent_service.services import consent, links
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, words

MOTHER = {"born_on__day": "17", "born_on__month": "5", "born_on__year": "1994"}
FATHER = {"born_on__day": "9", "born_on__month": "1", "born_on__year": "1992"}
WRONG = {"born_on__day": "1", "born_on__month": "1", "born_on__year": "1990"}
PIN = "482615"


def make_link(
    clinic: Clinic, family: Family, kind: LinkKind = LinkKind.PARENT, person: str = ""
) -> str:
    """Make a link; returns its path."""
    wanted = links.MakeLink(
        family.involvement, person or family.mother, kind, capacity=Capacity.NO_DOUBT
    )
    return f"/link/{links.make_link(clinic.ctx, clinic.guider, wanted)[1]}"


def holding(pages: Pages, path: str, born: dict[str, str] = MOTHER) -> Visitor:
    """Open a link with its date of birth."""
    visitor = pages.stranger()
    opened = visitor.sends(path, **born)
    assert opened.status_code == 303, words(opened)
    visitor.opens(opened.headers["Location"])
    return visitor


def states(clinic: Clinic, person: str) -> dict[str, ConsentState]:
    now = clinic.clock.now()
    found = consent.state(clinic.ctx, clinic.guider, person, now, now)
    return {view.purpose: view.state for view in found}


def bare(visitor: Visitor) -> str:
    """Return the last page without its form token."""
    assert visitor.last is not None
    text = visitor.last.get_data(as_text=True)
    return re.sub(r'name="csrf_token" value="[^"]+"', "", text)


def refused(pages: Pages, path: str, born: dict[str, str]) -> tuple[int, str]:
    """Try a link; return the status and the page."""
    visitor = pages.stranger()
    visitor.sends(path, **born)
    assert visitor.last is not None
    return visitor.last.status_code, bare(visitor)


def answer_all(visitor: Visitor, *, no: bool = False) -> None:
    """Answer a consent by link as the pages ask it, and sign it."""
    visitor.sends("/own/consent")
    visitor.opens("/own/consent/words")
    place = "/own/consent/page/1"
    while "/page/" in place:
        shown = visitor.opens(place).get_data(as_text=True)
        place = str(visitor.posts(place, **answers_on(shown, no=no)).headers["Location"])
    signed = visitor.sends("/own/consent/sign", how="typed", typed_name="Rosa Invented")
    assert signed.status_code == 303, words(signed)


def answers_on(shown: str, *, no: bool) -> dict[str, str]:
    """Return a first choice for each question of a page, or no where there is one."""
    found: dict[str, list[str]] = {}
    for box in re.findall(r"<input[^>]*nhsuk-radios__input[^>]*>", shown):
        name, value = re.search(r'name="([^"]+)"', box), re.search(r'value="([^"]*)"', box)
        assert name and value
        found.setdefault(name[1], []).append(value[1])
    chosen = {}
    for name, values in found.items():
        chosen[name] = "no" if "no" in values and (no or f'name="{name}-' in shown) else values[0]
    return chosen
