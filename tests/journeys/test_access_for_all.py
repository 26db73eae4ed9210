"""Pages that everybody can use: axe at three widths, nothing wider than the window."""

import pytest

from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS, faults_of_access, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def family(service: Served) -> Family:
    """Two parents and a baby who agreed, so that pages have something to show."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    arranged = clinic.family()
    for person in (arranged.mother, arranged.father):
        clinic.captures(arranged, person, clinic.answers(arranged, person))
    return arranged


def _pages_of_a_guider(family: Family) -> list[str]:
    here = f"/families/{family.involvement}"
    return [
        "/families",
        "/families/new",
        here,
        f"{here}/story",
        f"{here}/meetings/add",
        "/leaflets",
        "/leaflets/L1111/2",
        f"/leaflets/give/{family.involvement}/{family.mother}",
        f"/consents/{family.involvement}/{family.mother}",
        f"/withdrawals/{family.involvement}/{family.mother}",
        "/account",
        "/sign-out",
        "/privacy",
        "/accessibility",
        f"/families/{'0' * 32}",
    ]


@pytest.mark.parametrize("who", ["guider", "ig", "admin"])
def test_every_kind_of_page_can_be_used_by_everybody(
    service: Served, signed_in: SignedIn, family: Family, who: str
) -> None:
    """Somebody who cannot see, point or hold still must be able to work here too."""
    paths = {
        "guider": _pages_of_a_guider(family),
        "ig": ["/certificates", "/leaflets/L1111/1/override", "/leaflets/import"],
        "admin": ["/users", "/users/add", "/users/tokens/add", "/jobs"],
    }
    page = signed_in(who)
    found = []
    for path in paths[who]:
        page.goto(service.url + path)
        for name, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            over = runs_over(page)
            if over:
                found.append((path, name, f"{over} pixels too wide"))
            found += [(path, name, fault) for fault in faults_of_access(page)]

    assert found == []
