"""Families' own pages: the door, what they tell, stopping, answering, and what they never show."""

import re
from datetime import timedelta

import pytest

from consent_service.domain.audit import EventKind
from consent_service.domain.consent import ConsentState
from consent_service.domain.links import LinkKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Unavailable
from consent_service.services import consent, link_sessions
from consent_service.web.own import NEUTRAL_PAGE
from consent_service.web.routes import OWN_VERBS, Open, table
from tests.support.clinic import Clinic, Family
from tests.support.own_links import (
    FATHER,
    MOTHER,
    PIN,
    WRONG,
    answer_all,
    bare,
    holding,
    make_link,
    refused,
    states,
)
from tests.support.pages import Pages, Visitor, kinds_recorded, words
from tests.web.test_routes import _answer, _asks


def test_a_parent_reads_what_they_agreed_to_and_nothing_of_the_other(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A page that anybody might read over a shoulder holds one person's words and no more."""
    clinic.withdraws(family, family.baby, by=family.father)
    mother = holding(pages, make_link(clinic, family))

    shown = words(mother.opens("/own"))

    assert "Rosa Invented" in shown
    assert "For Mina Invented" in shown
    assert "Yes said on 2 November 2026" in shown
    assert "Jonas" not in shown
    for word in ("Stopped", "disagree", "frozen", "hold", "Bath time"):
        assert word not in shown


def test_every_refusal_at_the_door_is_the_same_to_the_last_byte(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Used, locked, ended, unknown and mistyped must tell nobody which it was."""
    used = make_link(clinic, family, LinkKind.CONSENT)
    answer_all(holding(pages, used))
    locked = make_link(clinic, family, LinkKind.CONSENT, family.father)
    ended = make_link(clinic, family)
    live = make_link(clinic, family)
    refusals = []

    for _ in range(5):
        refused(pages, locked, WRONG)
    for path, born in (
        (used, MOTHER),
        (locked, FATHER),
        (ended, MOTHER),
        (live, WRONG),
        ("/link/never-made", MOTHER),
    ):
        refusals.append(refused(pages, path, born))

    assert len(set(refusals)) == 1
    assert refusals[0][0] == 400


def test_the_door_looks_the_same_whatever_the_link(pages: Pages, clinic: Clinic) -> None:
    """Before the date of birth a link says nothing, not even that it exists."""
    live, unknown = pages.stranger(), pages.stranger()
    live.opens(make_link(clinic, clinic.family()))
    unknown.opens("/link/never-made")

    assert bare(live) == bare(unknown)


def test_a_links_cookie_opens_not_one_page_of_the_team(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Two kinds of people use one address; their doors must never lead into each other's rooms."""
    for kind in LinkKind:
        visitor = holding(pages, make_link(clinic, family, kind))
        visitor.opens("/own/stop" if kind is LinkKind.PARENT else "/own/consent")
        opened = [
            (endpoint, method)
            for endpoint, method, path in _asks(pages.app)
            if table()[endpoint] is not Open.EVERYONE
            and table()[endpoint] not in OWN_VERBS
            and _answer(visitor, method, path) != 401
        ]
        assert opened == []


def test_no_session_of_the_team_opens_a_familys_page(pages: Pages) -> None:
    """What a parent reads there is between them and their link."""
    guider = pages.as_("guider")

    statuses = {
        guider.client.get(path).status_code
        for endpoint, method, path in _asks(pages.app)
        if table()[endpoint] in OWN_VERBS and method == "GET"
    }

    assert statuses == {403}


def test_opening_a_link_signs_the_team_out_of_that_browser(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A guider hands over the tablet; the way back must not lead to other families."""
    tablet = pages.as_("guider")
    assert tablet.opens("/families").status_code == 200

    tablet.sends(make_link(clinic, family), **MOTHER)

    assert tablet.opens("/own").status_code == 200
    assert tablet.opens("/families").status_code == 302


def test_every_page_of_a_family_keeps_no_trace(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """No referrer, nothing kept by the browser, no word of the family in the address."""
    visitor = holding(pages, make_link(clinic, family))

    for path in ("/own", "/own/stop", "/link/x"):
        answer = visitor.opens(path)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Leave this page" in words(answer)


def test_leaving_ends_it_for_this_browser(pages: Pages, clinic: Clinic, family: Family) -> None:
    """Somebody came into the room: one tap, and the back button shows nothing."""
    visitor = holding(pages, make_link(clinic, family))

    left = visitor.opens("/own/leave")

    assert left.headers["Location"] == NEUTRAL_PAGE
    closed = visitor.opens("/own")
    assert closed.status_code == 401
    assert "Leave this page" in words(closed)


def test_the_link_that_leaves_signs_nobody_of_the_team_out(pages: Pages) -> None:
    """A picture in a mail can point there: following a link must end no session."""
    guider = pages.as_("guider")

    guider.opens("/own/leave")

    assert guider.opens("/families").status_code == 200


def test_a_page_left_open_closes_by_itself(pages: Pages, clinic: Clinic, family: Family) -> None:
    """A telephone on the kitchen table is read by whoever passes."""
    visitor = holding(pages, make_link(clinic, family))
    clinic.passes(minutes=29)
    assert visitor.opens("/own").status_code == 200

    clinic.passes(minutes=31)

    assert visitor.opens("/own").status_code == 401


def test_over_https_forms_work_without_a_referrer(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Pages that send no referrer must not be refused for it, nor take forms without a token."""
    path, visitor = make_link(clinic, family), pages.stranger()
    visitor.opens(path, base_url="https://localhost")
    fields = {name.replace("__", "-"): value for name, value in MOTHER.items()}

    bad = visitor.client.post(path, base_url="https://localhost", data=fields)
    good = visitor.client.post(
        path, base_url="https://localhost", data={"csrf_token": visitor.token, **fields}
    )

    assert bad.status_code == 400
    assert good.status_code == 303


def test_papers_are_ones_own_and_their_names_tell_nothing(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A copy in the list of downloads must not say what it is; another's copy does not exist."""
    acts = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    mine = next(act for act in acts if act.person == family.mother)
    theirs = next(act for act in acts if act.person == family.father)
    visitor = holding(pages, make_link(clinic, family))

    own, other = (
        visitor.opens(f"/own/copy/{mine.id}.pdf"),
        visitor.opens(f"/own/copy/{theirs.id}.pdf"),
    )

    assert own.data.startswith(b"%PDF")
    assert 'filename="copy.pdf"' in own.headers["Content-Disposition"]
    assert other.status_code == 404
    assert EventKind.ACCESS_REFUSED in kinds_recorded(clinic)


def stop(visitor: Visitor, *, pin: str = "", **fields: str) -> str:
    """Stop everything as the pages do; returns where it is shown."""
    chosen = {"scope": "everything", "speed": "now", **fields}
    shown = visitor.sends("/own/stop", **chosen)
    assert shown.status_code == 200, words(shown)
    hidden = dict(
        re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', shown.get_data(as_text=True))
    )
    done = visitor.posts("/own/stop/confirm", **{**hidden, "pin": pin})
    assert done.status_code == 303, words(done)
    return str(done.headers["Location"])


def test_a_parent_stops_everything_and_keeps_the_receipt(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Stopping from home must work as wholly as stopping with a guider does."""
    film = clinic.stores_film(family)
    visitor = holding(pages, make_link(clinic, family))

    place = stop(visitor, person=family.mother)
    shown = words(visitor.opens(place))

    assert "It is stopped" in shown and "1 film" in shown
    assert visitor.opens(f"{place}/receipt.pdf").data.startswith(b"%PDF")
    assert states(clinic, family.mother)["care"] is ConsentState.WITHDRAWN
    with pytest.raises(Exception, match=r"withdrawn|Nobody|consent"):
        clinic.watches(film.id)
    assert "Somebody stopped film by their own link" in words(
        pages.as_("guider").opens("/governance/messages")
    )


def test_a_hold_or_a_dispute_shows_on_no_familys_page(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A safeguarding hold that a page told of would warn whom it protects against."""
    clinic.stores_film(family)
    plain = holding(pages, make_link(clinic, family))
    before = bare_preview(plain, family)
    pages.as_("guider").sends(
        f"/families/{family.involvement}/safeguarding", reason="Worry written down elsewhere"
    )

    assert clinic.written_down(EventKind.HOLD_PLACED)

    held = holding(pages, make_link(clinic, family))

    assert bare_preview(held, family) == before


def bare_preview(visitor: Visitor, family: Family) -> str:
    """Return what stopping for oneself would do, as the page says it."""
    shown = visitor.sends("/own/stop", person=family.mother, scope="everything", speed="now")
    return words(shown)


def test_only_the_number_chosen_keeps_the_film_after_all(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Whoever finds the link must not undo what its owner said (rule 5)."""
    clinic.stores_film(family)
    visitor = holding(pages, make_link(clinic, family))
    place = stop(visitor, person=family.mother, speed=Speed.SEVEN_DAYS.value, pin=PIN)

    wrong = visitor.sends(f"{place}/keep", pin="111111")
    empty = visitor.sends(f"{place}/keep", pin="")
    kept = visitor.sends(f"{place}/keep", pin=PIN)

    assert (wrong.status_code, empty.status_code, kept.status_code) == (400, 400, 303)
    assert "You kept it after all" in words(visitor.follows(kept))
    assert states(clinic, family.mother)["care"] is ConsentState.GIVEN


def test_five_wrong_numbers_leave_the_way_with_the_guider(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Six digits hold only while nobody may try them all."""
    visitor = holding(pages, make_link(clinic, family))
    place = stop(visitor, person=family.mother, speed=Speed.SEVEN_DAYS.value, pin=PIN)
    for _ in range(5):
        visitor.sends(f"{place}/keep", pin="111111")

    right = visitor.sends(f"{place}/keep", pin=PIN)

    assert right.status_code == 400
    assert states(clinic, family.mother)["care"] is ConsentState.WITHDRAWN
    assert "only you and your guider together" in words(visitor.opens(place))


def test_without_a_number_a_link_takes_nothing_back(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """The link alone is never enough, not even for its owner."""
    visitor = holding(pages, make_link(clinic, family))
    place = stop(visitor, person=family.mother, speed=Speed.SEVEN_DAYS.value)

    assert visitor.sends(f"{place}/keep", pin=PIN).status_code == 400
    assert states(clinic, family.mother)["care"] is ConsentState.WITHDRAWN


def test_nobody_takes_back_what_another_stopped(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """The father's link does not know that the mother's withdrawal exists."""
    mother = holding(pages, make_link(clinic, family))
    place = stop(mother, person=family.mother, speed=Speed.SEVEN_DAYS.value, pin=PIN)
    father = holding(pages, make_link(clinic, family, person=family.father), FATHER)

    assert father.opens(place).status_code == 404
    father.opens("/own/stop")
    assert father.posts(f"{place}/keep", pin=PIN).status_code == 404
    assert father.opens(f"{place}/receipt.pdf").status_code == 404
    assert "Stopped" not in words(father.opens("/own"))


def test_stopping_for_a_child_names_no_use_that_only_the_other_agreed_to(
    pages: Pages, clinic: Clinic
) -> None:
    """What the father allowed for the baby is for him to tell the mother, or not."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    more = frozenset({"TRAIN.EXTERNAL"})
    answers = clinic.answers(family, family.father, optional=more)
    clinic.captures(family, family.father, answers)
    visitor = holding(pages, make_link(clinic, family))

    shown = visitor.sends("/own/stop", person=family.baby, scope="everything", speed="now")

    label = clinic.ctx.policies.purposes["training-external"].label.lower()
    assert "These uses end at once" in words(shown)
    assert label not in words(shown).lower()


def test_nobody_stops_for_an_adult_but_themselves(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A link's form can be altered; whom it is about is checked where it counts."""
    visitor = holding(pages, make_link(clinic, family))

    answer = visitor.sends("/own/stop", person=family.father, scope="everything", speed="now")

    assert answer.status_code == 400
    assert states(clinic, family.father)["care"] is ConsentState.GIVEN


def test_the_door_slows_down_who_tries_many_links(pages: Pages) -> None:
    """Guessing must cost more than it can ever yield."""
    visitor = pages.stranger()
    visitor.opens("/link/x")

    statuses = [visitor.posts("/link/x", **WRONG).status_code for _ in range(21)]

    assert statuses[:20] == [400] * 20
    assert statuses[20] == 429


def test_time_at_the_door_is_the_services_time(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Two hours are the longest sitting, however busy somebody is."""
    visitor = holding(pages, make_link(clinic, family))
    for _ in range(5):
        clinic.clock.advance(timedelta(minutes=25))
        last = visitor.opens("/own").status_code

    assert last == 401


def test_leaving_works_while_the_database_is_away(
    pages: Pages, clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who must not be seen here cannot wait until a server is back."""
    mother = holding(pages, make_link(clinic, family))

    def away(*_: object) -> None:
        raise Unavailable("The database cannot be reached. Try again in a minute.")

    monkeypatch.setattr(link_sessions, "close_session", away)
    monkeypatch.setattr(link_sessions, "session_of", away)
    left = mother.opens("/own/leave")

    assert (left.status_code, left.headers["Location"]) == (303, NEUTRAL_PAGE)
    assert "own=;" in left.headers["Set-Cookie"]
