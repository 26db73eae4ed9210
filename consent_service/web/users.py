"""Accounts of staff, their teams, and tokens for programs, as the administrator keeps them."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import EmailField, IntegerField
from wtforms.validators import InputRequired, NumberRange

from consent_service.errors import Conflict, ConsentServiceError, InvalidInput
from consent_service.services import accounts, involvements
from consent_service.services.accounts import UserDetails
from consent_service.web.fields import PageForm, choice, line, several
from consent_service.web.here import caller, ctx
from consent_service.web.one_form import form_page

users = Blueprint("users", __name__, url_prefix="/users")


class UserForm(PageForm):
    """Somebody new who works here."""

    display_name = line("Name", "Enter the name.")
    email = EmailField("Email", [InputRequired("Enter the email address.")])
    roles = several("What they do here")
    teams = several("Teams")


class TeamForm(PageForm):
    """A clinical team."""

    name = line("Name of the team", "Enter the name.")


class TokenForm(PageForm):
    """A token for a program that acts for an account."""

    user = choice("For which account?", sentence="Choose the account.")
    scopes = several("With which of its roles?", description="None chosen: all of them.")
    days = IntegerField(
        "For how many days?",
        [
            InputRequired("Enter the number of days."),
            NumberRange(1, 366, "Enter a number from 1 to 366."),
        ],
        default=90,
    )


@users.get("")
def listing() -> str:
    """List the accounts, the teams and the tokens."""
    found = accounts.list_users(ctx(), caller())
    return render_template(
        "users/listing.html",
        users=found,
        names={user.id: user.display_name for user in found},
        teams=dict(involvements.teams(ctx(), caller())),
        roles=ctx().policies.roles,
        tokens=accounts.list_tokens(ctx(), caller()),
        own=caller().id,
        now=ctx().clock.now(),
    )


@users.route("/add", methods=["GET", "POST"])
def add() -> ResponseReturnValue:
    """Make an account; its one-time link is shown once."""
    form = UserForm()
    form.roles.choices = [
        (role.code, role.label)
        for role in ctx().policies.roles.values()
        if role.code not in accounts.NOT_FOR_STAFF
    ]
    form.teams.choices = involvements.teams(ctx(), caller())
    if form.sent:
        details = UserDetails(
            form.email.data or "",
            form.display_name.data or "",
            tuple(form.roles.data or ()),
            tuple(form.teams.data or ()),
        )
        try:
            _, link = accounts.create_user(ctx(), caller(), details)
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message, "email")
        else:
            return _link(details.display_name, link)
    return form_page(
        form, "Add somebody who works here", url_for("users.listing"), save="Make the account"
    )


@users.route("/teams/add", methods=["GET", "POST"])
def add_team() -> ResponseReturnValue:
    """Make a team."""
    form = TeamForm()
    if form.sent:
        try:
            involvements.create_team(ctx(), caller(), form.name.data or "")
        except ConsentServiceError as fault:
            form.say(fault.message, "name")
        else:
            flash("The team is there.", "success")
            return redirect(url_for("users.listing"))
    return form_page(form, "Add a team", url_for("users.listing"), save="Make the team")


@users.post("/<id:user>/disable")
def disable(user: str) -> ResponseReturnValue:
    """Close an account at once."""
    accounts.disable_user(ctx(), caller(), user)
    flash("The account is closed. Its sessions and tokens ended now.", "success")
    return redirect(url_for("users.listing"))


@users.post("/<id:user>/enable")
def enable(user: str) -> ResponseReturnValue:
    """Open a closed account again."""
    accounts.enable_user(ctx(), caller(), user)
    flash("The account is open again.", "success")
    return redirect(url_for("users.listing"))


@users.post("/<id:user>/reset")
def reset(user: str) -> ResponseReturnValue:
    """Take away password and second factor, and show a new one-time link."""
    link = accounts.reset_user(ctx(), caller(), user)
    name = next(u.display_name for u in accounts.list_users(ctx(), caller()) if u.id == user)
    return _link(name, link)


@users.route("/tokens/add", methods=["GET", "POST"])
def add_token() -> ResponseReturnValue:
    """Make a token; its secret is shown once."""
    form = TokenForm()
    found = accounts.list_users(ctx(), caller())
    form.user.choices = [(user.id, user.display_name) for user in found if user.active]
    form.scopes.choices = [
        (role.code, role.label)
        for role in ctx().policies.roles.values()
        if role.code not in accounts.NOT_FOR_STAFF
    ]
    if form.sent:
        try:
            _, secret = accounts.create_token(
                ctx(), caller(), str(form.user.data), form.scopes.data or (), form.days.data or 0
            )
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            return render_template("users/secret.html", secret=secret)
    return form_page(
        form, "Make a token for a program", url_for("users.listing"), save="Make the token"
    )


@users.post("/tokens/<id:token>/revoke")
def revoke_token(token: str) -> ResponseReturnValue:
    """Make a token worthless."""
    accounts.revoke_token(ctx(), caller(), token)
    flash("The token is worthless now.", "success")
    return redirect(url_for("users.listing"))


def _link(name: str, token: str) -> str:
    link = f"{ctx().settings.public_url}{url_for('account.set_up', token=token)}"
    return render_template("users/link.html", name_=name, link=link)
