"""Lists ask the database as often for many rows as for one: a page must not slow with its rows."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Route
from consent_service.services import consent, erasure, holds, policies, subject_access
from consent_service.services.holds import PlaceHold
from consent_service.services.subject_access import OpenRequest
from tests.support.clinic import Clinic, Family
from tests.support.databases import Databases
from tests.support.forms import add_version, clinic_with_own_policies
from tests.support.pages import Pages, open_pages

Grow = Callable[[Clinic, Family], object]


def _held(clinic: Clinic, family: Family) -> object:
    asked = PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint was received")
    return holds.place(clinic.ctx, clinic.ig, asked)


def _asked_about(clinic: Clinic, family: Family) -> object:
    return subject_access.open_request(
        clinic.ctx, clinic.ig, OpenRequest(family.mother, clinic.today)
    )


def _withdrawn(clinic: Clinic, family: Family) -> object:
    clinic.both_consent(family)
    done = clinic.withdraws(family, family.mother)
    return erasure.carry_out(clinic.ctx, done.erasure_order, "tests")


def _disputed(clinic: Clinic, family: Family) -> object:
    clinic.both_consent(family)
    clinic.passes(minutes=1)
    return clinic.withdraws(family, family.baby, by=family.mother)


def _copied_from_paper(clinic: Clinic, family: Family) -> object:
    """An act that counts when a second person has looked."""
    clinic.passes(hours=30)
    return consent.capture(
        clinic.ctx,
        clinic.guider,
        consent.CaptureConsent(
            involvement=family.involvement,
            person=family.mother,
            form="vig",
            language="en",
            leaflet_issue=family.issues[family.mother],
            route=Route.IN_PERSON,
            capacity=Capacity.NO_DOUBT,
            answers=clinic.answers(family, family.mother),
            signature=consent.Signature(SignatureKind.TYPED, {"name": "Invented Person"}),
            event_at=clinic.clock.now() - timedelta(hours=29),
        ),
    )


def _agreed(clinic: Clinic, family: Family) -> None:
    clinic.both_consent(family)


LISTS: dict[str, tuple[str, str, Grow]] = {
    "my families": ("guider", "/families", _agreed),
    "holds": ("ig", "/holds", _held),
    "requests for access": ("ig", "/subject-access", _asked_about),
    "certificates": ("ig", "/certificates", _withdrawn),
    "erasures": ("ig", "/governance/erasures", _withdrawn),
    "disputes": ("ig", "/governance/disputes", _disputed),
    "papers to check": ("ig", "/governance/late-consents", _copied_from_paper),
    "messages": ("ig", "/governance/messages", _disputed),
}


def test_whom_to_ask_again_asks_as_often_for_three_as_for_one(
    databases: Databases, tmp_path: Path
) -> None:
    """A new form puts every family on this list in one day."""
    asked = []
    for many in (1, 3):
        with clinic_with_own_policies(databases, tmp_path / str(many)) as clinic:
            for _ in range(many):
                clinic.both_consent(clinic.family())
            add_version(clinic)
            policies.publish(clinic.ctx, clinic.ig, "consent-forms/vig/v2", material=True)
            asked.append(_asked(open_pages(clinic), clinic, "ig", "/governance/ask-again"))

    (small, one), (large, three) = asked

    assert large > small, "the list did not grow"
    assert three == one


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_list_asks_as_often_for_four_as_for_one(pages: Pages, clinic: Clinic, name: str) -> None:
    """An IG officer with a busy month must not wait longer for the same page."""
    who, path, grow = LISTS[name]
    grow(clinic, clinic.family())
    _asked(pages, clinic, who, path)
    one = _asked(pages, clinic, who, path)
    for _ in range(3):
        grow(clinic, clinic.family())

    four = _asked(pages, clinic, who, path)

    assert four[0] > one[0], "the list did not grow"
    assert four[1] == one[1]


def _asked(pages: Pages, clinic: Clinic, who: str, path: str) -> tuple[int, int]:
    """How long the page is, and how many statements it took."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    visitor = pages.as_(who)
    event.listen(clinic.ctx.engine, "before_cursor_execute", note)
    answer = visitor.opens(path)
    event.remove(clinic.ctx.engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    return len(answer.get_data()), len(seen)
