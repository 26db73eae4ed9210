"""A rotation that goes on although its lock was forgotten, or long after it was killed; and whose
clock is behind that of others.

The lock of a keyring in PostgreSQL ends with its connection: where the server fails over, somebody
else may rotate while the first goes on and knows nothing of it.
"""

import contextlib
import io
from collections.abc import Callable
from datetime import timedelta

import pyrage
import pytest

from consent_service.errors import Conflict, ConsentServiceError
from consent_service.vault.key_backups import LIFETIME
from consent_service.vault.keyring import Keyring
from consent_service.vault.keyring_database import KeyringDatabase
from consent_service.vault.rotation import RotationStep
from tests.support.keyrings import AT, LATER, Interleaved, KeyringHome, WrapsOnly, make_keys
from tests.vault.rotations import Family, Killed

OWNER = pyrage.x25519.Identity.generate()


@pytest.fixture
def lock_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the lock gets it."""
    monkeypatch.setattr(KeyringDatabase, "rotation_lock", lambda _: contextlib.nullcontext())


def _at(step: RotationStep, time: int, happens: Callable[[], object]) -> Callable[..., None]:
    """A hook that lets something happen when `step` is reached for that time, and not again."""
    passed: list[RotationStep] = []

    def hook(reached: RotationStep, _shards: int) -> None:
        passed.append(reached)
        if reached is step and passed.count(step) == time:
            happens()

    return hook


def _dies() -> None:
    raise Killed


@pytest.mark.usefixtures("lock_forgotten")
@pytest.mark.parametrize("moment", ["before_unwrapping", "after_unwrapping", "after_wrapping"])
def test_a_shard_key_that_another_rotation_made_is_not_written_over(
    home: KeyringHome, keyring: Keyring, moment: str
) -> None:
    """With it would go every key of the shard, and every film of its families."""
    family = Family(keyring)
    live = Interleaved(home.live)
    slow = home.open(live=live)

    def another() -> None:
        keyring.destroy(make_keys(keyring, 1, shard=7), "order", AT)
        keyring.rotate(LATER)

    def when_shard_keys_are_wrapped_anew() -> None:
        setattr(live, moment, another)

    hook = _at(RotationStep.MASTER_NOTED, 2, when_shard_keys_are_wrapped_anew)
    with contextlib.suppress(ConsentServiceError):
        slow.rotate(AT, hook)

    assert family.is_whole(keyring)
    keyring.rotate(LATER, force=True)
    assert family.is_whole(home.open())


@pytest.mark.usefixtures("lock_forgotten")
def test_the_end_of_a_rotation_is_not_told_of_another(home: KeyringHome, keyring: Keyring) -> None:
    """The other's old master keys are still there, and a certificate would say that they are not."""
    Family(keyring)
    slow = home.open()
    [late] = make_keys(keyring, 1, shard=7)

    def another_is_killed() -> None:
        keyring.destroy([late], "order", AT)
        hook = _at(RotationStep.STARTED, 1, _dies)
        with pytest.raises(Killed):
            keyring.rotate(LATER, hook)

    with pytest.raises(Conflict):
        slow.rotate(AT, _at(RotationStep.OLD_MASTERS_DESTROYED, 2, another_is_killed))

    assert keyring.irrecoverable_since([late]) == {late: None}
    keyring.rotate(LATER)
    assert keyring.irrecoverable_since([late]) == {late: LATER}


def test_what_ends_before_a_killed_rotation_is_taken_up_waits_for_the_next(
    home: KeyringHome, keyring: Keyring
) -> None:
    """A copy of the keyring holds it under a pocket's key, wrapped under the new master key."""
    web = home.open(escrow=WrapsOnly(home.escrow))
    [sealed, _] = make_keys(keyring, 2, shard=7)
    web.seal([sealed], AT)
    with pytest.raises(Killed):
        keyring.rotate(AT, _at(RotationStep.OLD_MASTERS_DESTROYED, 1, _dies))
    keyring.destroy([sealed], "order", AT)

    keyring.rotate(AT, now=lambda: LATER)

    assert home.escrow.versions() == [3], "version 2 opens that copy"
    assert keyring.irrecoverable_since([sealed]) == {sealed: LATER}


def test_a_backup_whose_clock_was_ahead_is_waited_for(keyring: Keyring) -> None:
    """It was begun before the rotation ended, and says that it was after: it holds the key."""
    [gone] = make_keys(keyring, 1)
    ahead = AT + timedelta(seconds=20)
    keyring.backups.make(io.BytesIO(), str(OWNER.to_public()), ahead)
    keyring.destroy([gone], "order", AT)

    keyring.rotate(AT)

    assert keyring.irrecoverable_since([gone]) == {gone: None}
    keyring.backups.expire(ahead + LIFETIME)
    assert keyring.irrecoverable_since([gone]) == {gone: ahead + LIFETIME}
