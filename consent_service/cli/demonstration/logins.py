"""The logins of a demo that is filled, each with its one-time code of this moment."""

from dataclasses import dataclass

from consent_service.cli.demonstration.cast import STAFF
from consent_service.services.accounts import present_code
from consent_service.services.sign_in import totp_class
from consent_service.settings import Settings
from consent_service.wiring import build_context


@dataclass(frozen=True)
class DemoLogin:
    """What somebody types to sign in, now."""

    role: str
    email: str
    password: str
    code: str


def logins(settings: Settings) -> list[DemoLogin]:
    """Return every login with its present one-time code."""
    ctx = build_context(settings)
    codes = totp_class(ctx)
    found = [
        DemoLogin(
            login.roles[0],
            login.email,
            login.password,
            present_code(codes(key=login.code_secret, format="base32")),
        )
        for login in STAFF
    ]
    ctx.keyring.close()
    ctx.engine.dispose()
    return found
