"""What a key server was told to destroy is destroyed when it says so itself, and not before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.errors import Unavailable
from consent_service.vault.key_providers import Assurance, KeyProvider, open_provider
from tests.support.key_server_double import Answer, KeyServerDouble, key_server_double

KEY = "GET transit/keys/live"
CONFIG, TRIM = "POST transit/keys/live/config", "POST transit/keys/live/trim"


@pytest.fixture
def server() -> Iterator[KeyServerDouble]:
    """A key server that answers what a test tells it to."""
    with key_server_double() as double:
        yield double


@pytest.fixture
def provider(server: KeyServerDouble, tmp_path: Path) -> KeyProvider:
    """The provider of the key `live` there."""
    (token := tmp_path / "token").write_text("a-token")
    return open_provider(server.provider_url("live", token))


def two_versions(kept: object) -> Answer:
    """What the server says of a key with two versions, `kept` from the oldest that it has not
    trimmed on (0 where it never did).
    """
    return Answer(200, {"data": {"keys": {"1": 1, "2": 2}, "min_available_version": kept}})


def test_what_the_server_does_without_a_word_is_done(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """Older servers answer a trim with 204 and no content."""
    server.will_answer(KEY, two_versions(0), two_versions(2))
    server.will_answer(CONFIG, Answer(204))
    server.will_answer(TRIM, Answer(200, b""))

    assert provider.destroy_before(2) is Assurance.TRIMMED
    assert server.asked[-3:] == [CONFIG, TRIM, KEY]


@pytest.mark.parametrize("kept", [0, 1, None, "all"])
def test_a_version_that_is_still_kept_was_not_destroyed(
    server: KeyServerDouble, provider: KeyProvider, kept: object
) -> None:
    """A certificate says that nobody can open the film any more: the server has to say so too."""
    server.will_answer(KEY, two_versions(0), two_versions(kept))
    server.will_answer(CONFIG, Answer(204))
    server.will_answer(TRIM, Answer(204))

    with pytest.raises(Unavailable):
        provider.destroy_before(2)


@pytest.mark.parametrize("status", [301, 307, 308, 404, 405, 413])
@pytest.mark.parametrize("step", [CONFIG, TRIM])
def test_a_refusal_without_a_word_is_not_taken_for_done(
    server: KeyServerDouble, provider: KeyProvider, step: str, status: int
) -> None:
    """A server that is not the leader sends one elsewhere, a proxy refuses: both with no content."""
    server.will_answer(KEY, two_versions(2))
    server.will_answer(CONFIG, Answer(204))
    server.will_answer(TRIM, Answer(204))
    server.will_answer(step, Answer(status, b""))

    with pytest.raises(Unavailable):
        provider.destroy_before(2)
