"""Builds the Context from Settings; the only place where real things are chosen.

Rule kept here: keys, those that sign too, journal and film store are begun by who sets up a
service, or puts a lost one back, and by nobody else. Where they are missing later they were lost,
or their disk is not mounted, and new ones in their place would look as if all were well.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from enum import Flag, auto
from pathlib import Path

from consent_service.clock import Clock, SystemClock
from consent_service.db.engine import open_engine
from consent_service.errors import SettingsFault
from consent_service.policy_files import default_policy_dir, read_policies
from consent_service.services.context import Context, Signers
from consent_service.settings import Settings, load_settings
from consent_service.vault.blobs import open_store
from consent_service.vault.journal import Journal, open_journal
from consent_service.vault.key_providers import open_provider
from consent_service.vault.keyring import Keyring, require_keyring_file
from consent_service.vault.signing import (
    SigningUse,
    load_signer,
    make_signing_keys,
    public_keys,
)


class Begin(Flag):
    """What may be made new where it is missing: keyring and master keys, journal, film store."""

    NOTHING = 0
    KEYS = auto()
    JOURNAL = auto()
    STORE = auto()
    ALL = KEYS | JOURNAL | STORE


def settings_from(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of this process, with `.env` of the working folder beneath them."""
    return load_settings(os.environ if environ is None else environ, Path(".env"))


def make_data_folder(settings: Settings) -> None:
    """Make the data folder (0700) where it is missing."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_folders(settings: Settings, clock: Clock, *, begin: bool = True) -> None:
    """Make the data folder (0700) and the signing keys where they are missing.

    Without `begin` a signing key that is missing was lost: then SettingsFault, and none is made.
    """
    make_data_folder(settings)
    folder = _signing(settings)
    if not begin and not folder.is_dir():
        raise _not_set_up(settings, folder)
    make_signing_keys(folder, clock.now(), begin=begin)


def build_context(
    settings: Settings,
    clock: Clock | None = None,
    *,
    begin: Begin = Begin.NOTHING,
    **fakes: object,
) -> Context:
    """Return the Context for these settings. Raises SettingsFault when not initialised.

    Of keys, journal and film store only what `begin` says is made where it is missing; without it
    what is missing is SettingsFault `keyring_missing`, `master_missing` or `store_missing`, or
    JournalBroken.

    `fakes` replaces fields of the Context, for tests.
    """
    time = clock or SystemClock()
    folder = _signing(settings)
    if not folder.is_dir():
        raise _not_set_up(settings, folder)
    signers = Signers(
        log=load_signer(folder, SigningUse.LOG),
        journal=load_signer(folder, SigningUse.JOURNAL),
        certificates=load_signer(folder, SigningUse.CERTIFICATES),
        published=public_keys(folder),
    )
    old_keys = Begin.KEYS not in begin
    if old_keys:
        require_keyring_file(settings.keyring_url)
    context = Context(
        settings=settings,
        clock=time,
        engine=open_engine(settings.database_url),
        keyring=Keyring(
            settings.keyring_url,
            open_provider(settings.key_provider, must_exist=old_keys),
            open_provider(settings.escrow_provider, must_exist=old_keys),
        ),
        blobs=open_store(settings.blob_url, clock=time, must_exist=Begin.STORE not in begin),
        journal=journal_of(settings, begin),
        signers=signers,
        policies=read_policies(settings.policy_dir or default_policy_dir()),
    )
    return replace(context, **fakes) if fakes else context  # type: ignore[arg-type]


def journal_of(settings: Settings, begin: Begin) -> Journal:
    """Return the journal of these settings; it is begun where `begin` says so."""
    folder = _signing(settings)
    return open_journal(
        settings.journal_url,
        load_signer(folder, SigningUse.JOURNAL),
        lambda: public_keys(folder),
        # Opening makes nothing in a bucket, where a journal without lines is not to be seen.
        must_exist=Begin.JOURNAL not in begin and settings.journal_url.startswith("file:"),
    )


def _not_set_up(settings: Settings, signing: Path) -> SettingsFault:
    """Say what is missing: to set up anew where a service was would make a second one."""
    where = settings.data_dir.absolute()
    if where.is_dir() and any(where.iterdir()):
        return SettingsFault(
            f"The signing keys are missing in {signing.absolute()}. Put them back, or correct "
            f"CONSENT_SIGNING_KEYS. Only if {where} never held a service: run "
            "`consent-service init`."
        )
    return SettingsFault(
        f"There is no service in {where}. Correct CONSENT_DATA_DIR if it is elsewhere; "
        "for a new one run `consent-service init` first."
    )


def _signing(settings: Settings) -> Path:
    return settings.signing_keys or settings.under_data("signing")
