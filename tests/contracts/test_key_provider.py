"""What every keeper of master keys promises; run against each adapter."""

from pathlib import Path

import pytest

from consent_service.errors import IntegrityFault, KeyDestroyed
from consent_service.ids import new_id
from consent_service.vault.key_providers import (
    FileKeyProvider,
    KeyProvider,
    MemoryKeyProvider,
    master_version_of,
    open_provider,
)
from tests.support.openbao import OpenBao

SECRETS = [(bytes([n]) * 32, f"place {n}".encode()) for n in range(5)]


@pytest.fixture(params=["file", "memory", "openbao"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> KeyProvider:
    """A new provider of each kind; the key server is real."""
    if request.param == "file":
        return FileKeyProvider(tmp_path / "masters")
    if request.param == "memory":
        return MemoryKeyProvider()
    server: OpenBao = request.getfixturevalue("key_server")
    token = tmp_path / "token"
    token.write_text(server.root_token)
    return open_provider(server.provider_url(new_id(), token))


def wrapped_with_places(provider: KeyProvider) -> list[tuple[bytes, bytes]]:
    """Wrap the secrets and pair them with their places, ready to be opened."""
    places = [place for _, place in SECRETS]
    return list(zip(provider.wrap_many(SECRETS), places, strict=True))


def test_what_was_wrapped_comes_back_in_order(provider: KeyProvider) -> None:
    """Shard keys are wrapped by the hundred: one out of place would open the wrong shard."""
    opened = provider.unwrap_many(wrapped_with_places(provider))

    assert opened == [secret for secret, _ in SECRETS]


def test_nothing_to_wrap_is_nothing_wrapped(provider: KeyProvider) -> None:
    """Sets may be empty."""
    assert provider.wrap_many([]) == []
    assert provider.unwrap_many([]) == []


def test_a_wrapped_secret_hides_it_and_never_looks_the_same_twice(provider: KeyProvider) -> None:
    """Equal ciphertexts would tell that two shards have one key, and mean that a nonce repeats."""
    once, twice = provider.wrap_many([SECRETS[0], SECRETS[0]])

    assert once != twice
    assert SECRETS[0][0] not in once


def test_a_secret_opens_in_its_own_place_only(provider: KeyProvider) -> None:
    """A shard key moved to another shard must not open there."""
    [(wrapped, _), (_, other_place), *_] = wrapped_with_places(provider)

    with pytest.raises(IntegrityFault, match="does not open"):
        provider.unwrap_many([(wrapped, other_place)])


def test_an_altered_byte_is_found_wherever_it_is(provider: KeyProvider) -> None:
    """Every byte counts, the version included."""
    wrapped, place = wrapped_with_places(provider)[0]

    for index in range(len(wrapped)):
        altered = wrapped[:index] + bytes([wrapped[index] ^ 1]) + wrapped[index + 1 :]
        with pytest.raises((IntegrityFault, KeyDestroyed)):
            provider.unwrap_many([(altered, place)])


@pytest.mark.parametrize("kept", [4, 10, 16, 40])
def test_a_cut_secret_is_refused(provider: KeyProvider, kept: int) -> None:
    """A half-written row must not pass for a key."""
    wrapped, place = wrapped_with_places(provider)[0]

    with pytest.raises(IntegrityFault):
        provider.unwrap_many([(wrapped[:kept], place)])


def test_a_new_provider_has_one_version(provider: KeyProvider) -> None:
    """Nothing has to be set up before the first use."""
    assert provider.versions() == [1]
    assert master_version_of(provider.wrap_many(SECRETS[:1])[0]) == 1


def test_after_a_rotation_the_new_version_wraps_and_the_old_still_opens(
    provider: KeyProvider,
) -> None:
    """A rotation rewraps while people work: both must open until the old one is destroyed."""
    before = wrapped_with_places(provider)

    version = provider.rotate()

    assert version == 2
    assert provider.versions() == [1, 2]
    assert {master_version_of(one) for one, _ in wrapped_with_places(provider)} == {2}
    assert provider.unwrap_many(before) == [secret for secret, _ in SECRETS]


def test_a_destroyed_version_opens_nothing_and_the_newest_stays(provider: KeyProvider) -> None:
    """This is what erasure rests on."""
    before = wrapped_with_places(provider)
    provider.rotate()
    after = wrapped_with_places(provider)

    provider.destroy_before(2)

    with pytest.raises(KeyDestroyed) as refused:
        provider.unwrap_many(before)
    assert refused.value.code == "master_destroyed"
    assert provider.versions() == [2]
    assert provider.unwrap_many(after) == [secret for secret, _ in SECRETS]


def test_destroying_again_gives_the_same_answer(provider: KeyProvider) -> None:
    """A rotation that was killed does its last steps again."""
    provider.rotate()
    provider.rotate()

    first = provider.destroy_before(3)
    second = provider.destroy_before(3)

    assert first == second
    assert provider.versions() == [3]


def test_version_numbers_are_never_used_again(provider: KeyProvider) -> None:
    """An old wrap must meet "destroyed", never another key with its number."""
    provider.rotate()
    provider.destroy_before(2)

    assert provider.rotate() == 3


def test_the_newest_version_cannot_be_destroyed(provider: KeyProvider) -> None:
    """It opens every film there is."""
    with pytest.raises(ValueError, match="rotate first"):
        provider.destroy_before(2)

    assert provider.versions() == [1]
