"""Signing in: password, then a one-time code; twenty minutes idle, twelve hours at most.

Rules kept here:
  * everybody has a second factor, and a code is good once;
  * what a failed sign-in says does not tell whether the address is known;
  * the pages ask for the password again before sensitive acts (`Caller.fresh`).
"""

import base64
from datetime import datetime, timedelta
from typing import Any, NoReturn

from flask import Flask, flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, user_logged_out
from flask_security import Security, user_authenticated
from flask_security.forms import LoginForm, TwoFactorVerifyCodeForm
from flask_security.recovery_codes import MfRecoveryForm
from flask_security.totp import Totp
from passlib.exc import TokenError

from consent_service.errors import NotFound, NotSignedIn
from consent_service.services import sign_in
from consent_service.services.context import Context
from consent_service.web.account_store import AccountStore, PageUser
from consent_service.web.headers import with_drawn_code
from consent_service.web.here import EXTENSION, ctx

IDLE = timedelta(minutes=20)
LONGEST = timedelta(hours=12)
FRESH_FOR = timedelta(minutes=10)
NOT_KNOWN = "Email or password is not right. Check both and try again."
UNUSED = ("security.two_factor_rescue", "security.tf_select")
"""Pages of the library for ways that we do not offer: help by mail, several second factors."""

SEEN, BEGUN, PROVED, PROVED_MARK = "seen", "begun", "proved", "proved_mark"


class OneTimeCodes(Totp):
    """One-time codes by the service's clock, each good once."""

    def __init__(self, context: Context) -> None:
        self._ctx = context
        self._totp = sign_in.totp_class(context)

    def verify_totp(self, token: str, totp_secret: str, user: Any, window: int = 0) -> bool:
        """Tell whether a code is right and was not used before."""
        try:
            match = self._totp.verify(token, totp_secret, window=window)
        except (TokenError, ValueError):
            return False
        return sign_in.use_code(self._ctx, user.account.id, match.counter)

    def generate_qrcode(self, username: str, totp: str) -> str:
        """Return the square code as an address that holds the picture; this page may show it."""
        with_drawn_code()
        return str(super().generate_qrcode(username, totp))


class SignInForm(LoginForm):
    """Address and password; nobody is remembered on a device."""

    def validate(self, **more: Any) -> bool:
        """Refuse a locked account before its password is looked at; note unknown addresses."""
        found = ctx_store().find_user(email=self.email.data or "")
        if found is not None and found.is_locked():
            self.password.errors = [NOT_KNOWN]
            return False
        good = bool(super().validate(**more))
        if not good and found is None and self.email.data and self.password.data:
            sign_in.record_failure(ctx(), None, "unknown_address")
        return good


class CodeForm(TwoFactorVerifyCodeForm):
    """The six digits of the authenticator app."""

    def validate(self, **more: Any) -> bool:
        """Refuse while the account is locked."""
        if self.user is not None and self.user.is_locked(_errors(self.code)):
            return False
        return bool(super().validate(**more))


class RecoveryForm(MfRecoveryForm):
    """One of the codes kept for a lost telephone."""

    def validate(self, **more: Any) -> bool:
        """Refuse while the account is locked; a wrong code counts as a failure."""
        if self.user is None or self.user.is_locked(_errors(self.code)):
            return False
        good = bool(super().validate(**more))
        if not good:
            self.user.track_failed_authn("recovery_code", tfa=True)
        return good


def configure(app: Flask, context: Context) -> None:
    """Give an app its sign-in pages, session limits and audit of who comes and goes."""
    app.config.update(_settings(context))
    store = AccountStore(context)
    security = Security(
        app,
        store,
        login_form=SignInForm,
        two_factor_verify_code_form=CodeForm,
        mf_recovery_form=RecoveryForm,
        # Called with the secrets and the issuer of the settings, which it knows from the context.
        totp_cls=lambda *_settings: OneTimeCodes(context),  # type: ignore[arg-type]
    )
    # The library's tokens would pass by the second factor, and its search for one in the body
    # would take a film whole into memory before its sender was known.
    app.login_manager.request_loader(lambda _request: None)  # type: ignore[attr-defined]
    security.unauthn_handler(_not_signed_in)
    for endpoint in UNUSED:
        app.view_functions[endpoint] = _not_here
    user_authenticated.connect(_came_in, app)
    user_logged_out.connect(_went_out, app)
    app.before_request(keep_session_limits)
    app.before_request(_no_code_while_signed_in)
    app.after_request(_note_proof)


def _not_here() -> NoReturn:
    raise NotFound("This way of signing in is not offered here.", kind="page")


def ctx_store() -> AccountStore:
    """Return the store of accounts of this app."""
    return AccountStore(ctx())


def keep_session_limits() -> ResponseReturnValue | None:
    """End a session that was idle too long or is too old; note how fresh this one is."""
    if request.endpoint == "static" or not current_user.is_authenticated:
        return None
    now = ctx().clock.now()
    if _too_old(now):
        session.clear()
        g.pop("_login_user", None)
        if request.accept_mimetypes.best == "application/json":
            raise NotSignedIn("You were signed out. Sign in again.")
        flash("You were signed out because nothing happened for a while. Sign in again.", "notice")
        return redirect(url_for("security.login", next=_way_back()))
    session[SEEN] = now.timestamp()
    proved = session.get(PROVED)
    g.fresh = proved is not None and 0 <= now.timestamp() - proved <= FRESH_FOR.total_seconds()
    return None


def _no_code_while_signed_in() -> ResponseReturnValue | None:
    """Lead on who is signed in already: the page for codes would sign them out, by a mere link."""
    if request.endpoint == "security.two_factor_token_validation" and current_user.is_authenticated:
        return redirect(url_for("about.start"))
    return None


def _too_old(now: datetime) -> bool:
    seen, begun = session.get(SEEN), session.get(BEGUN)
    if seen is None or begun is None:
        return True
    at = now.timestamp()
    return bool(at - seen > IDLE.total_seconds() or at - begun > LONGEST.total_seconds())


def _way_back() -> str:
    return request.full_path if request.method == "GET" else "/"


def _came_in(app: Flask, user: PageUser, **_more: Any) -> None:
    context: Context = app.extensions[EXTENSION]
    now = context.clock.now().timestamp()
    session[SEEN] = session[BEGUN] = session[PROVED] = now
    session[PROVED_MARK] = session.get("fs_paa")
    method = "recovery_code" if request.endpoint == "security.mf_recovery" else "authenticator"
    sign_in.record_sign_in(context, user.account.id, method)


def _went_out(app: Flask, user: PageUser, **_more: Any) -> None:
    sign_in.sign_out(app.extensions[EXTENSION], user.account.id)


def _note_proof(response: Any) -> Any:
    """Note when the password was given again: Flask-Security marks it in the session."""
    mark = session.get("fs_paa")
    if mark is not None and mark != session.get(PROVED_MARK):
        session[PROVED] = ctx().clock.now().timestamp()
        session[PROVED_MARK] = mark
    return response


def _not_signed_in(_ways: list[str], _headers: dict[str, str] | None = None) -> NoReturn:
    raise NotSignedIn("Sign in to see this page.")


def _errors(field: Any) -> list[str]:
    field.errors = list(field.errors)
    return field.errors  # type: ignore[no-any-return]


def _settings(context: Context) -> dict[str, Any]:
    settings = context.settings
    secure = settings.secure
    fernet = base64.urlsafe_b64encode(sign_in.secret_for(settings, "recovery codes"))
    return {
        "SECRET_KEY": sign_in.secret_for(settings, "sessions"),
        "SESSION_COOKIE_NAME": "__Host-session" if secure else "session",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        "PERMANENT_SESSION_LIFETIME": LONGEST,
        "WTF_CSRF_TIME_LIMIT": None,
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SCHEMES": ["argon2"],
        "SECURITY_PASSWORD_SINGLE_HASH": {"argon2"},
        "SECURITY_DEPRECATED_PASSWORD_SCHEMES": [],
        "SECURITY_PASSWORD_SALT": sign_in.secret_for(settings, "password forms").hex(),
        "SECURITY_PASSWORD_LENGTH_MIN": 12,
        "SECURITY_USER_IDENTITY_ATTRIBUTES": [
            {"email": {"mapper": _address, "case_insensitive": True}}
        ],
        "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
        "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
        "SECURITY_SEND_REGISTER_EMAIL": False,
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_DEFAULT_REMEMBER_ME": False,
        "SECURITY_FLASH_MESSAGES": True,
        "SECURITY_STATIC_FOLDER": None,
        "SECURITY_LOGIN_URL": "/sign-in",
        "SECURITY_LOGOUT_URL": "/sign-out",
        "SECURITY_VERIFY_URL": "/sign-in/again",
        "SECURITY_TWO_FACTOR_TOKEN_VALIDATION_URL": "/sign-in/code",
        "SECURITY_TWO_FACTOR_SETUP_URL": "/sign-in/authenticator",
        "SECURITY_TWO_FACTOR_RESCUE_URL": "/sign-in/rescue",
        "SECURITY_TWO_FACTOR_SELECT_URL": "/sign-in/which",
        "SECURITY_MULTI_FACTOR_RECOVERY_URL": "/sign-in/recovery-code",
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_URL": "/account/recovery-codes",
        "SECURITY_LOGOUT_CSRF": True,
        "SECURITY_POST_LOGIN_VIEW": "/",
        "SECURITY_POST_LOGOUT_VIEW": "/signed-out",
        "SECURITY_FRESHNESS": FRESH_FOR,
        "SECURITY_FRESHNESS_GRACE_PERIOD": timedelta(0),
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_REQUIRED": True,
        "SECURITY_TWO_FACTOR_ALWAYS_VALIDATE": True,
        "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TWO_FACTOR_AUTHENTICATOR_VALIDITY": 60,
        "SECURITY_TWO_FACTOR_POST_SETUP_VIEW": "/account",
        "SECURITY_TOTP_SECRETS": sign_in.totp_keys(settings),
        "SECURITY_TOTP_ISSUER": sign_in.organisation_name(context),
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_N": 8,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS": [fernet],
        "SECURITY_MSG_GENERIC_AUTHN_FAILED": (NOT_KNOWN, "error"),
        "SECURITY_MSG_TWO_FACTOR_INVALID_TOKEN": (
            "This code is not right, or it was used already. Wait for the next one.",
            "error",
        ),
        "SECURITY_MSG_INVALID_RECOVERY_CODE": ("This recovery code is not right.", "error"),
        # The page that asks for it says so in its heading.
        "SECURITY_MSG_REAUTHENTICATION_REQUIRED": ("", "notice"),
        "SECURITY_MSG_REAUTHENTICATION_SUCCESSFUL": ("Thank you. You can go on now.", "success"),
        "SECURITY_MSG_TWO_FACTOR_LOGIN_SUCCESSFUL": ("", "success"),
    }


def _address(identity: str) -> str:
    return identity.strip().lower()
