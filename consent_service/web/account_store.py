"""Between Flask-Security and our accounts: it reads and changes values, services keep them.

No session of the database lives longer than one call, so a page never holds a lock while a use
case of its own runs.
"""

from typing import Any

from flask_security import RoleMixin, UserMixin
from flask_security.datastore import UserDatastore

from consent_service.services import sign_in
from consent_service.services.context import Context
from consent_service.services.sign_in import Account, Factors


class PageRole(RoleMixin):
    """A role, as Flask-Security wants it."""

    def __init__(self, name: str) -> None:
        self.name = name


class PageUser(UserMixin):
    """An account, as Flask-Security wants it: the names of its fields are theirs."""

    # Flask-Security looks for these on the class before it believes in two-factor sign-in.
    fs_uniquifier: str = ""
    tf_primary_method: str | None = None
    tf_totp_secret: str | None = None
    mf_recovery_codes: list[str] | None = None

    def __init__(self, ctx: Context, account: Account) -> None:
        self.ctx = ctx
        self.account = account
        self.id = account.id  # type: ignore[assignment]
        self.email = account.email
        self.password = account.password
        self.active = account.active
        self.fs_uniquifier = account.fs_uniquifier
        self.confirmed_at = None
        self.tf_primary_method = account.totp_method
        self.tf_totp_secret = account.totp_secret
        self.mf_recovery_codes = list(account.recovery_codes)
        self.roles = [PageRole(name) for name in sorted(account.roles)]

    def factors(self) -> Factors:
        """Return what signing in may have changed."""
        return Factors(
            self.password,
            self.tf_primary_method,
            self.tf_totp_secret,
            list(self.mf_recovery_codes or []),
        )

    def is_locked(self, form_error: list[str] | None = None) -> bool:
        """Tell whether too many failures lock the account; says so once it is known who asks."""
        locked = sign_in.is_locked(self.ctx, self.account)
        if locked and form_error is not None:
            form_error.append("Too many tries. Wait 15 minutes, then try again.")
        return locked

    def track_failed_authn(self, auth_type: str, tfa: bool = False) -> None:
        """Write down a failure, and lock after too many."""
        sign_in.record_failure(self.ctx, self.account.id, "second_factor" if tfa else auth_type)


class AccountStore(UserDatastore):
    """Finds accounts and keeps what signing in changes; `commit` is one short transaction each."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(PageUser, PageRole)
        self.ctx = ctx

    def find_user(self, case_insensitive: bool = False, **wanted: Any) -> PageUser | None:
        """Return the account with this id, address or session mark."""
        field, value = next(iter(wanted.items()))
        name = "uniquifier" if field == "fs_uniquifier" else field
        account = sign_in.find_account(self.ctx, **{name: str(value)})
        return None if account is None else PageUser(self.ctx, account)

    def put(self, model: PageUser) -> PageUser:
        """Keep what changed; at once, since nothing here waits for a commit."""
        sign_in.save_factors(self.ctx, model.account.id, model.factors())
        return model

    def commit(self) -> None:
        """Do nothing: `put` has kept it."""

    def find_role(self, role: str) -> PageRole | None:
        """Return a role by name."""
        return PageRole(role) if role in self.ctx.policies.roles else None
