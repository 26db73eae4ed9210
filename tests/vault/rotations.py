"""Ways to stand in the middle of a rotation, and a family whose keys tell whether it went well."""

from consent_service.vault.keyring import Keyring, KeyStatus
from consent_service.vault.rotation import RotationStep
from tests.support.keyrings import (
    AT,
    make_keys,
)


class Killed(Exception):
    """The process died here."""


class KillAt:
    """A progress hook that dies at one step; counts the steps it lets pass."""

    def __init__(self, step: int | None = None) -> None:
        self.passed: list[RotationStep] = []
        self._step = step

    def __call__(self, step: RotationStep, _shards: int) -> None:
        if len(self.passed) == self._step:
            raise Killed(step)
        self.passed.append(step)


class Family:
    """Five live keys, one sealed, one destroyed while live, one destroyed while sealed."""

    def __init__(self, keyring: Keyring) -> None:
        self.gone = make_keys(keyring, 2, shard=7)
        self.live = [*make_keys(keyring, 3, shard=7), *make_keys(keyring, 2, shard=8)]
        self.sealed = make_keys(keyring, 1, shard=7)
        self.open = keyring.read(self.live)
        self.shut = keyring.read(self.sealed)
        keyring.seal([*self.sealed, self.gone[1]], AT)
        keyring.destroy(self.gone, "order", AT)

    def is_whole(self, keyring: Keyring) -> bool:
        """Nothing of what should stand is lost and nothing destroyed is back."""
        return (
            keyring.read(self.live + self.gone) == self.open
            and keyring.read_sealed(self.sealed + self.gone) == self.shut
            and set(keyring.status(self.gone).values()) == {KeyStatus.DESTROYED}
        )
