"""Accounts as the administrator keeps them."""

import re

import pytest

from consent_service.errors import NotSignedIn
from consent_service.services import accounts
from tests.support.clinic import Clinic
from tests.support.pages import Pages, words


def test_a_new_account_gets_a_link_that_works_once(pages: Pages, clinic: Clinic) -> None:
    """The administrator never knows anybody's password."""
    admin = pages.as_("admin")

    made = admin.sends(
        "/users/add",
        display_name="Nell New",
        email="nell@clinic.example",
        roles=["guider"],
        teams=[clinic.team],
    )

    link = re.search(r"/set-up/([\w-]+)", made.get_data(as_text=True))
    assert link is not None, words(made)
    assert pages.stranger().opens(link[0]).status_code == 200
    assert "Has not set a password yet" in words(admin.opens("/users"))


def test_an_address_that_is_taken_or_wrong_is_named_at_its_field(
    pages: Pages, clinic: Clinic
) -> None:
    """Two people behind one address would share what they did."""
    admin = pages.as_("admin")

    taken = admin.sends(
        "/users/add", display_name="Two", email="guider@clinic.example", roles=["guider"]
    )
    wrong = admin.sends("/users/add", display_name="Two", email="nowhere", roles=["guider"])

    assert taken.status_code == wrong.status_code == 400
    assert 'href="#email"' in taken.get_data(as_text=True)
    assert "Enter an email address such as" in words(wrong)


def test_a_closed_account_is_out_and_its_tokens_are_worthless(pages: Pages, clinic: Clinic) -> None:
    """Leaving is one click, and nothing is left behind."""
    _, secret = accounts.create_token(clinic.ctx, clinic.admin, clinic.guider.id, (), 30)
    guider = pages.as_("guider")
    assert accounts.caller_of_token(clinic.ctx, secret).user == clinic.guider.id

    admin = pages.as_("admin")
    admin.opens("/users")
    admin.posts(f"/users/{clinic.guider.id}/disable")

    assert guider.opens("/families").status_code == 302
    with pytest.raises(NotSignedIn):
        accounts.caller_of_token(clinic.ctx, secret)


def test_an_account_that_is_opened_again_stays_open(pages: Pages, clinic: Clinic) -> None:
    """What the journal remembers of its closing must not close it once more."""
    from consent_service.services import startup

    admin = pages.as_("admin")
    admin.opens("/users")
    admin.posts(f"/users/{clinic.guider.id}/disable")
    admin.posts(f"/users/{clinic.guider.id}/enable")

    startup.replay(clinic.ctx)

    assert pages.as_("guider").opens("/families").status_code == 200


def test_closing_an_account_asks_for_the_password_again_after_a_while(
    pages: Pages, clinic: Clinic
) -> None:
    """An unlocked screen must not be enough to lock others out."""
    admin = pages.as_("admin")
    admin.opens("/users")
    clinic.passes(minutes=11)

    answer = admin.posts(f"/users/{clinic.guider.id}/disable")

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in/again")
    assert pages.as_("guider").opens("/families").status_code == 200


def test_the_last_administrator_stays(pages: Pages, clinic: Clinic) -> None:
    """A service that nobody can administer any more would have to be broken open."""
    other = accounts.UserDetails("second@clinic.example", "Second", ("administrator",))
    second, _ = accounts.create_user(clinic.ctx, clinic.admin, other)

    accounts.disable_user(clinic.ctx, clinic.admin, second)
    admin = pages.as_("admin")
    admin.opens("/users")
    refused = admin.posts(f"/users/{clinic.admin.id}/disable")

    assert refused.status_code == 409
    assert "last administrator" in words(refused)


def test_a_token_is_shown_once_and_reaches_no_further_than_its_owner(
    pages: Pages, clinic: Clinic
) -> None:
    """Whatever a program may do, somebody here is answerable for it."""
    admin = pages.as_("admin")
    made = admin.sends("/users/tokens/add", user=clinic.guider.id, scopes=["guider"], days="30")
    secret = re.search(r"cs_[\w-]+", made.get_data(as_text=True))
    assert secret is not None, words(made)

    caller = accounts.caller_of_token(clinic.ctx, secret[0])
    beyond = admin.sends(
        "/users/tokens/add", user=clinic.guider.id, scopes=["ig_officer"], days="9"
    )

    assert caller.roles == {"guider"}
    assert caller.teams == {clinic.team}
    assert secret[0] not in words(admin.opens("/users"))
    assert beyond.status_code == 400
