"""One's own account: second factor, recovery codes, signing out, the first password."""

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from wtforms import PasswordField
from wtforms.validators import InputRequired

from consent_service.errors import InvalidInput
from consent_service.services import accounts, sign_in
from consent_service.web.fields import PageForm, show, status, summary
from consent_service.web.here import caller, ctx
from consent_service.web.one_form import form_page

account = Blueprint("account", __name__)


class SetUpForm(PageForm):
    """The first password, twice."""

    password = PasswordField(
        "Password",
        [InputRequired("Enter a password.")],
        description="At least 12 characters. Three or four words that nobody would guess will do.",
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "Password again",
        [InputRequired("Enter the password again.")],
        render_kw={"autocomplete": "new-password"},
    )


def show_account() -> str:
    """Show one's own account."""
    own = current_user.account
    roles = [ctx().policies.roles[r].label for r in sorted(own.roles) if r in ctx().policies.roles]
    return render_template(
        "account/show.html", account=own, roles=roles, codes_left=len(own.recovery_codes)
    )


account.add_url_rule("/account", "show", show_account)


class PasswordForm(PageForm):
    """The present password, and the new one twice."""

    current = PasswordField(
        "Your present password",
        [InputRequired("Enter your present password.")],
        render_kw={"autocomplete": "current-password"},
    )
    password = PasswordField(
        "New password",
        [InputRequired("Enter a new password.")],
        description="At least 12 characters. Three or four words that nobody would guess will do.",
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "New password again",
        [InputRequired("Enter the new password again.")],
        render_kw={"autocomplete": "new-password"},
    )


@account.route("/account/password", methods=["GET", "POST"])
def password() -> ResponseReturnValue:
    """Change one's own password; every session ends."""
    form = PasswordForm()
    if form.sent:
        if form.password.data != form.again.data:
            form.say("The two new passwords are not the same.", "again")
        else:
            try:
                sign_in.change_password(
                    ctx(), caller(), form.current.data or "", form.password.data or ""
                )
            except InvalidInput as fault:
                form.add_faults(fault)
            else:
                flash("Your password is changed. Sign in with the new one.", "success")
                return redirect(url_for("security.login"))
    return form_page(
        form,
        "Change your password",
        url_for("account.show"),
        words=("You are signed out everywhere then, and sign in with the new password.",),
        save="Change the password",
    )


@account.get("/account/session")
def still_here() -> Response:
    """Tell a script that the session goes on, as it does with every request, and its form token."""
    return jsonify(token=generate_csrf())


@account.get("/sign-out")
def sign_out() -> str:
    """Ask before signing out; the answer is sent by a form, so that no link can do it."""
    return render_template("account/sign_out.html")


@account.get("/signed-out")
def signed_out() -> str:
    """Say that it is done."""
    return render_template("account/signed_out.html")


@account.route("/set-up/<token>", methods=["GET", "POST"])
def set_up(token: str) -> ResponseReturnValue:
    """Set the first password with a one-time link."""
    if not accounts.link_is_good(ctx(), token):
        return render_template("account/link_used.html"), 404
    form = SetUpForm()
    if form.sent:
        if form.password.data != form.again.data:
            form.say("The two passwords are not the same.", "again")
        else:
            try:
                accounts.set_up_account(ctx(), token, form.password.data or "")
            except InvalidInput as fault:
                form.add_faults(fault)
            else:
                flash("Your password is set. Sign in to add your second factor.", "success")
                return redirect(url_for("security.login"))
    page = render_template("account/set_up.html", form=form, show=show, summary=summary)
    return page, status(form)
