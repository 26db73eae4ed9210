"""Signing in: a password and a one-time code, and what happens when either is wrong."""

import re

import pytest
from werkzeug.test import TestResponse

from consent_service.domain.audit import EventKind
from consent_service.services import accounts, sign_in
from consent_service.services.accounts import UserDetails
from tests.support.clinic import Clinic
from tests.support.pages import Pages, Visitor, kinds_recorded, words

EMAIL, PASSWORD, SECRET = "mira@clinic.example", "four plain quiet words", "JBSWY3DPEHPK3PXP"


@pytest.fixture
def code(clinic: Clinic) -> str:
    """A guider with password and authenticator app; the code of this moment."""
    details = UserDetails(EMAIL, "Mira Invented", ("guider",), (clinic.team,))
    return accounts.ensure_demo_user(clinic.ctx, details, PASSWORD, SECRET)[1]


def _gives_password(visitor: Visitor, password: str = PASSWORD) -> TestResponse:
    return visitor.sends("/sign-in", email=EMAIL, password=password)


def test_password_and_code_lead_to_the_families(pages: Pages, code: str) -> None:
    """This is the door; everything else is behind it."""
    visitor = pages.stranger()

    asked = visitor.follows(_gives_password(visitor))
    done = visitor.posts("/sign-in/code", code=code)

    assert "Enter your one-time code" in words(asked)
    assert done.status_code == 302, words(done)
    visitor.follows(done)
    assert visitor.opens("/account").status_code == 200
    assert EventKind.USER_SIGNED_IN in kinds_recorded(pages.clinic)


def test_a_password_alone_opens_nothing(pages: Pages, code: str) -> None:
    """A stolen password must not show a single family."""
    visitor = pages.stranger()

    _gives_password(visitor)
    answer = visitor.opens("/account")

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in")


def test_a_code_is_good_once(pages: Pages, code: str) -> None:
    """Whoever watched the code being typed must not be able to type it again."""
    first, second = pages.stranger(), pages.stranger()
    _gives_password(first)
    assert first.follows(first.posts("/sign-in/code", code=code)).status_code in (200, 302)

    second.follows(_gives_password(second))
    again = second.posts("/sign-in/code", code=code)

    assert again.status_code == 200
    assert "used already" in words(again)


def test_a_wrong_password_and_an_unknown_address_look_the_same(pages: Pages, code: str) -> None:
    """The page must not tell strangers who works here."""
    wrong = _gives_password(pages.stranger(), "not the right words")
    unknown = pages.stranger().sends("/sign-in", email="nobody@clinic.example", password="x" * 14)

    assert re.sub(r"\s+", " ", words(wrong)) == re.sub(r"\s+", " ", words(unknown))
    recorded = kinds_recorded(pages.clinic)
    assert recorded.count(EventKind.USER_SIGN_IN_FAILED) == 2


def test_ten_failures_lock_the_account_for_a_quarter_of_an_hour(
    pages: Pages, clinic: Clinic, code: str
) -> None:
    """Guessing must cost more than it brings."""
    for _ in range(10):
        _gives_password(pages.stranger(), "not the right words")

    locked = _gives_password(pages.stranger())
    clinic.passes(minutes=16)
    open_again = _gives_password(pages.stranger())

    assert locked.status_code == 200
    assert open_again.status_code == 302


def test_an_idle_session_ends_after_twenty_minutes(pages: Pages, clinic: Clinic) -> None:
    """A tablet left on a sofa must not show a family to the next visitor."""
    guider = pages.as_("guider")
    assert guider.opens("/account").status_code == 200

    clinic.passes(minutes=19)
    still = guider.opens("/account")
    clinic.passes(minutes=21)
    ended = guider.opens("/account")

    assert still.status_code == 200
    assert ended.status_code == 302


def test_no_session_lasts_longer_than_twelve_hours(pages: Pages, clinic: Clinic) -> None:
    """However busy somebody is, once a day they show that they are still themselves."""
    guider = pages.as_("guider")
    for _ in range(12 * 4 + 1):
        clinic.passes(minutes=15)
        last = guider.opens("/account")

    assert last.status_code == 302


def test_signing_out_makes_the_cookie_worthless(pages: Pages) -> None:
    """A copied cookie must die with the session it was copied from."""
    guider, thief = pages.as_("guider"), pages.as_("guider")
    assert thief.opens("/account").status_code == 200

    guider.opens("/sign-out")
    left = guider.posts("/sign-out")

    assert left.status_code == 302
    assert thief.opens("/account").status_code == 302


def test_a_link_cannot_sign_anybody_out(pages: Pages) -> None:
    """A picture in a message must not end a session in the middle of a filming."""
    guider = pages.as_("guider")
    guider.opens("/sign-out")

    assert guider.client.post("/sign-out").status_code in (200, 400)
    assert guider.opens("/account").status_code == 200


def test_a_new_account_sets_its_password_and_its_app(pages: Pages, clinic: Clinic) -> None:
    """Nobody but its owner ever knows a password or holds the second factor."""
    details = UserDetails("new@clinic.example", "New Person", ("guider",), (clinic.team,))
    _, link = accounts.create_user(clinic.ctx, clinic.admin, details)
    visitor = pages.stranger()

    visitor.follows(visitor.sends(f"/set-up/{link}", password=PASSWORD, again=PASSWORD))
    asked = visitor.posts("/sign-in", email="new@clinic.example", password=PASSWORD)
    visitor.follows(asked)
    shown = visitor.posts("/sign-in/authenticator", setup="authenticator")
    key = re.search(r"Key: <code>([^<]+)</code>", shown.get_data(as_text=True))
    assert key is not None, words(shown)
    codes = sign_in.totp_class(clinic.ctx)(key=key[1].replace("-", ""), format="base32")
    done = visitor.posts("/sign-in/code", code=accounts.present_code(codes))

    assert done.status_code == 302, words(done)
    assert visitor.opens("/account").status_code == 200
    assert pages.stranger().opens(f"/set-up/{link}").status_code == 404


def test_a_recovery_code_works_once_when_the_telephone_is_lost(
    pages: Pages, clinic: Clinic, code: str
) -> None:
    """A lost telephone must not lock a guider out, nor leave a spare key that never wears out."""
    visitor = pages.stranger()
    _gives_password(visitor)
    visitor.follows(visitor.posts("/sign-in/code", code=code))
    made = visitor.sends("/account/recovery-codes", generate_new_codes="y")
    spare = re.findall(r"<li><code>([0-9a-f-]{14})</code>", made.get_data(as_text=True))
    assert len(spare) == 8, words(made)

    answers = []
    for _ in range(2):
        other = pages.stranger()
        other.follows(_gives_password(other))
        other.opens("/sign-in/recovery-code")
        answers.append(other.posts("/sign-in/recovery-code", code=spare[0]))

    assert [answer.status_code for answer in answers] == [302, 200]
    assert EventKind.USER_RECOVERY_CODE_USED in kinds_recorded(clinic)


def test_a_disabled_account_is_out_at_once(pages: Pages, clinic: Clinic) -> None:
    """Somebody who leaves must not keep watching on a session of this morning."""
    guider = pages.as_("guider")
    assert guider.opens("/account").status_code == 200

    accounts.disable_user(clinic.ctx, clinic.admin, clinic.guider.id)

    assert guider.opens("/account").status_code == 302
    assert [line.body["id"] for line in clinic.ctx.journal.lines()] == [clinic.guider.id]


def test_changing_the_password_ends_every_session(pages: Pages, clinic: Clinic, code: str) -> None:
    """Whoever changes a password because somebody saw it must lock that somebody out."""
    visitor = pages.stranger()
    _gives_password(visitor)
    visitor.follows(visitor.posts("/sign-in/code", code=code))
    new = "another five plain words"

    wrong = visitor.sends("/account/password", current="not mine", password=new, again=new)
    done = visitor.sends("/account/password", current=PASSWORD, password=new, again=new)

    assert wrong.status_code == 400
    assert "not your present password" in words(wrong)
    assert done.status_code == 302
    assert visitor.opens("/account").status_code == 302
    assert _gives_password(pages.stranger()).status_code == 200
    assert _gives_password(pages.stranger(), new).status_code == 302


def test_a_page_for_codes_signs_nobody_out(pages: Pages) -> None:
    """The sign-in library ends a session that asks for a code twice: no link may do that."""
    guider = pages.as_("guider")

    guider.opens("/sign-in/code")

    assert guider.opens("/account").status_code == 200
