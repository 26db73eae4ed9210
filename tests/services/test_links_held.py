"""What is asked of a link in the moment in which it is used, and what guessing at links leaves."""

import dataclasses
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from consent_service.db.models.links import OwnLink
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.leaflets import LeafletRoute
from consent_service.domain.links import LinkKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalScope
from consent_service.errors import Conflict, LinkClosed, NotFound, Refused
from consent_service.services import (
    consent,
    involvements,
    leaflets,
    link_drafts,
    link_sessions,
    links,
    own_withdrawal,
    withdrawal,
)
from consent_service.services.link_sessions import LinkSession
from consent_service.services.own_withdrawal import OwnRequest
from tests.support.clinic import Clinic, Family

BORN = date(1994, 5, 17)
ANOTHER_DAY = date(1994, 5, 18)


def make(clinic: Clinic, family: Family, kind: LinkKind) -> tuple[str, str]:
    """Make the mother's link; returns its id and secret."""
    wanted = links.MakeLink(family.involvement, family.mother, kind, capacity=Capacity.NO_DOUBT)
    view, secret = links.make_link(clinic.ctx, clinic.guider, wanted)
    return view.id, secret


def held(clinic: Clinic, family: Family, kind: LinkKind = LinkKind.CONSENT) -> LinkSession:
    """The mother with her link open."""
    opened = link_sessions.open_link(clinic.ctx, make(clinic, family, kind)[1], BORN)
    return link_sessions.session_of(clinic.ctx, opened.link, opened.mark)


def signed(clinic: Clinic, family: Family, person: str = "") -> consent.CaptureConsent:
    """What somebody of the family would send by link."""
    who = person or family.mother
    return consent.CaptureConsent(
        involvement=family.involvement,
        person=who,
        form="vig",
        language="en",
        leaflet_issue=family.issues[who],
        route=Route.REMOTE_LINK,
        capacity=Capacity.NO_DOUBT,
        answers=clinic.answers(family, who),
        signature=consent.Signature(SignatureKind.TYPED, {"name": "Rosa Invented"}),
        event_at=clinic.clock.now(),
    )


def read(clinic: Clinic, family: Family, person: str) -> leaflets.GiveLeaflet:
    """What is written down when somebody says by link that they have read the leaflet."""
    return leaflets.GiveLeaflet(
        family.involvement, person, "L1111", clinic.today, LeafletRoute.SCREEN, "en"
    )


def guesses(clinic: Clinic, secret: str, times: int, day: date = ANOTHER_DAY) -> None:
    """Try a link over and over."""
    for _ in range(times):
        with pytest.raises(LinkClosed):
            link_sessions.open_link(clinic.ctx, secret, day)


def refusals(clinic: Clinic) -> list[dict[str, Any]]:
    return [dict(e.event.details) for e in clinic.written_down(EventKind.LINK_REFUSED)]


def test_guessing_fills_no_log(clinic: Clinic) -> None:
    """Anybody may type addresses; a log that grows with them could be made unreadable."""
    family = clinic.family()
    ended, secret = make(clinic, family, LinkKind.PARENT)
    links.end_link(clinic.ctx, clinic.guider, ended)

    guesses(clinic, "never made", 60)
    guesses(clinic, secret, 60)

    assert sorted(entry["counted"] for entry in refusals(clinic)) == [1, 10, 100]
    clinic.passes(hours=1)
    guesses(clinic, "never made", 2)
    assert sorted(entry["counted"] for entry in refusals(clinic)) == [1, 1, 10, 100]


def test_wrong_dates_of_a_link_are_told_when_it_closes_or_opens(clinic: Clinic) -> None:
    """Who looks into a stolen link must find in the log that somebody tried it, and how often."""
    family = clinic.family()
    _, tried = make(clinic, family, LinkKind.PARENT)
    guesses(clinic, tried, 2)
    link_sessions.open_link(clinic.ctx, tried, BORN)
    closed, secret = make(clinic, family, LinkKind.CONSENT)

    guesses(clinic, secret, 9)

    used = clinic.written_down(EventKind.LINK_USED)
    assert [entry.event.details.get("wrong_dates") for entry in used] == [2]
    assert [e for e in refusals(clinic) if "link" in e] == [{"link": closed, "reason": "locked"}]


def _ends(clinic: Clinic, family: Family, link: str) -> None:
    links.end_link(clinic.ctx, clinic.guider, link)


def _is_replaced(clinic: Clinic, family: Family, link: str) -> None:
    make(clinic, family, LinkKind.CONSENT)


def _runs_out(clinic: Clinic, family: Family, link: str) -> None:
    clinic.passes(days=7)


def _work_ends(clinic: Clinic, family: Family, link: str) -> None:
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)


def _withdraws(clinic: Clinic, family: Family, link: str) -> None:
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)


def _other_browser(clinic: Clinic, family: Family, link: str) -> None:
    with clinic.ctx.begin() as uow:
        uow.session.get_one(OwnLink, link).session_mark = "f" * 64


@pytest.mark.parametrize(
    "meanwhile", [_ends, _is_replaced, _runs_out, _work_ends, _withdraws, _other_browser]
)
def test_what_ended_a_link_meanwhile_ends_the_signature_too(
    clinic: Clinic, meanwhile: Callable[[Clinic, Family, str], None]
) -> None:
    """Between the page and the signature lies time enough for any of it."""
    family = clinic.family()
    holder = held(clinic, family)
    meanwhile(clinic, family, holder.own.link)

    with pytest.raises(LinkClosed):
        consent.capture(clinic.ctx, holder.caller, signed(clinic, family))

    assert consent.acts(clinic.ctx, clinic.guider, family.involvement) == []


def test_a_browser_that_lost_the_link_keeps_and_stops_nothing(clinic: Clinic) -> None:
    """One browser at a time: the one before writes nothing any more, whatever it has open."""
    family = clinic.family()
    clinic.both_consent(family)
    answering, parent = held(clinic, family), held(clinic, family, LinkKind.PARENT)
    for holder in (answering, parent):
        _other_browser(clinic, family, holder.own.link)
    everything = OwnRequest(family.mother, WithdrawalScope.EVERYTHING, Speed.NOW)
    given = leaflets.issues(clinic.ctx, clinic.guider, family.involvement)

    with pytest.raises(LinkClosed):
        leaflets.give_leaflet(clinic.ctx, answering.caller, read(clinic, family, family.mother))
    with pytest.raises(LinkClosed):
        link_drafts.save(clinic.ctx, answering, {"answers": {}})
    with pytest.raises(LinkClosed):
        link_drafts.draft(clinic.ctx, answering)
    with pytest.raises(LinkClosed):
        own_withdrawal.stop(clinic.ctx, parent.caller, everything)

    assert leaflets.issues(clinic.ctx, clinic.guider, family.involvement) == given
    assert withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement) == []


def test_a_link_answers_for_nobody_else(clinic: Clinic) -> None:
    """A mother's link must not sign in the father's name, whatever a browser sends."""
    family = clinic.family()
    mother = held(clinic, family).caller
    ask = consent.AskForm(family.involvement, family.father, "vig", "en")

    with pytest.raises(NotFound):
        consent.capture(clinic.ctx, mother, signed(clinic, family, family.father))
    with pytest.raises(NotFound):
        consent.questions(clinic.ctx, mother, ask)
    with pytest.raises(NotFound):
        leaflets.give_leaflet(clinic.ctx, mother, read(clinic, family, family.father))

    assert consent.acts(clinic.ctx, clinic.guider, family.involvement) == []


def test_a_link_is_signed_as_it_was_asked(clinic: Clinic) -> None:
    """A yes that called itself given in the room would count without anybody having been there."""
    family = clinic.family()
    mother = held(clinic, family).caller
    request = signed(clinic, family)

    for other in ({"route": Route.IN_PERSON}, {"capacity": Capacity.ASSESSED_HAS}):
        with pytest.raises(Refused) as refused:
            consent.capture(clinic.ctx, mother, dataclasses.replace(request, **other))
        assert refused.value.code == "not_asked"


def test_no_page_is_opened_for_work_that_ended_more_than_a_year_ago(clinic: Clinic) -> None:
    """A link that was dead when it was printed would leave a parent before a closed door (R29)."""
    family = clinic.family()
    clinic.passes(days=30)
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)
    clinic.passes(days=364)
    _, secret = make(clinic, family, LinkKind.PARENT)
    assert link_sessions.open_link(clinic.ctx, secret, BORN)

    clinic.passes(days=1)

    with pytest.raises(Conflict) as refused:
        make(clinic, family, LinkKind.PARENT)
    assert refused.value.code == "page_over"
