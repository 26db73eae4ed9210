"""What a use case works with: one frozen value, built once in `wiring`, handed fakes in tests."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from consent_service.clock import Clock
from consent_service.db import unit_of_work
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.policies import Policies
from consent_service.services.refused_openings import RefusedOpenings
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.settings import Settings
from consent_service.vault.blobs import BlobStore
from consent_service.vault.journal import Journal
from consent_service.vault.keyring import Keyring
from consent_service.vault.signing import PublicKey, Signer


@dataclass(frozen=True)
class Signers:
    """One signing key each for log, journal and certificates, and every public key published."""

    log: Signer
    journal: Signer
    certificates: Signer
    published: Sequence[PublicKey]


class Watch(Protocol):
    """Looks whether the journal is whole and this database as new as it (`journal_watch`)."""

    def require_whole(self) -> None:
        """Raise what forbids serving, by what was found last."""
        ...

    def require_newest(self) -> None:
        """Look now; raise what forbids destroying."""
        ...


class Standing:
    """Whether this process may release and destroy; without a watch to follow, it may."""

    def __init__(self) -> None:
        self._watch: Watch | None = None

    def follow(self, watch: Watch) -> None:
        """Say from now on what this watch says."""
        self._watch = watch

    def require_whole(self) -> None:
        """Raise what forbids serving; asks nothing of anybody, so each piece of a stream may."""
        if self._watch is not None:
            self._watch.require_whole()

    def require_newest(self) -> None:
        """Look at the journal, bring back what was forgotten; raise what forbids destroying."""
        if self._watch is not None:
            self._watch.require_newest()


@dataclass(frozen=True)
class Context:
    """Settings, time, database, keys, store, journal, signatures and policies.

    `begin` and `read` stand at the top level of public functions in `services/`, nowhere else.
    """

    settings: Settings
    clock: Clock
    engine: Engine
    keyring: Keyring
    blobs: BlobStore
    journal: Journal
    signers: Signers
    policies: Policies
    viewings: ViewingKeys = field(default_factory=ViewingKeys)
    standing: Standing = field(default_factory=Standing)
    refused_openings: RefusedOpenings = field(default_factory=RefusedOpenings)

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """Open a writing transaction at the present instant."""
        return unit_of_work.begin(self.engine, self.clock.now())

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a reading transaction."""
        with unit_of_work.read(self.engine) as session:
            yield session
