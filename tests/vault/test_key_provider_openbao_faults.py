"""Answers that a healthy key server does not give: nothing is taken for a key that is none."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from consent_service.errors import IntegrityFault, Refused, SettingsFault, Unavailable
from consent_service.vault.key_providers import KeyProvider, open_provider
from consent_service.vault.key_providers.port import is_forbidden, joined_version
from tests.support.key_server_double import (
    LOOKUP,
    RENEW,
    Answer,
    KeyServerDouble,
    key_server_double,
)

KEY, MAKE = "GET transit/keys/live", "POST transit/keys/live"
ROTATE = "POST transit/keys/live/rotate"
WRAP, UNWRAP = "POST transit/encrypt/live", "POST transit/decrypt/live"
ONE_VERSION = Answer(200, {"data": {"keys": {"1": 1_700_000_000}}})
SECRETS = [(b"s" * 32, b"shard 7"), (b"t" * 32, b"shard 8")]
WRAPPED = [(joined_version(1, b"w" * 40), place) for _, place in SECRETS]
GOOD_ITEM = {"ciphertext": "vault:v1:d3d3"}


@pytest.fixture
def server() -> Iterator[KeyServerDouble]:
    """A key server that answers what a test tells it to."""
    with key_server_double() as double:
        yield double


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with a token."""
    path = tmp_path / "token"
    path.write_text("first-token")
    return path


@pytest.fixture
def provider(server: KeyServerDouble, token: Path) -> KeyProvider:
    """The provider of the key `live` there."""
    return open_provider(server.provider_url("live", token))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock as the provider sees it; a test moves it on."""
    now = [1000.0]
    monkeypatch.setattr(
        "consent_service.vault.key_providers.openbao.time.monotonic", lambda: now[0]
    )
    return now


def batch(*items: Mapping[str, object]) -> dict[str, object]:
    """What the server says to many questions at once."""
    return {"data": {"batch_results": list(items)}}


# Answers to the question itself


def test_a_server_that_stumbles_once_is_asked_again(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """A change of leader takes a moment; nobody at a screen should notice."""
    server.will_answer(KEY, Answer(500), ONE_VERSION)

    assert provider.versions() == [1]
    assert server.times_asked(KEY) == 2


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (502, 3), (429, 1), (473, 1)])
def test_a_server_that_is_not_ready_is_away_after_bounded_tries(
    server: KeyServerDouble, provider: KeyProvider, status: int, tries: int
) -> None:
    """The caller waits for a known time, and is told to come back."""
    server.will_answer(KEY, Answer(status))

    with pytest.raises(Unavailable, match="is not ready"):
        provider.versions()
    assert server.times_asked(KEY) == tries


def test_a_rotation_is_asked_for_once(server: KeyServerDouble, provider: KeyProvider) -> None:
    """The server may have made the version before it stumbled: a second try would make two."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(ROTATE, Answer(500), Answer(200, {"data": {"latest_version": 3}}))

    with pytest.raises(Unavailable):
        provider.rotate()
    assert server.times_asked(ROTATE) == 1


@pytest.mark.parametrize("question", [KEY, LOOKUP])
def test_a_page_from_something_else_is_no_answer(
    server: KeyServerDouble, provider: KeyProvider, question: str
) -> None:
    """A proxy in between answers with its own page, and with 200."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(question, Answer(200, b"<html>Sign in</html>"))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.versions()


NO_ANSWERS = [b"[]", b'"yes"', b"null", b"7", b'{"data": 7}', b'{"data": [1]}', b"[" * 100_000]
"""Valid JSON or nearly, with 200, and nothing that was asked for."""


@pytest.mark.parametrize("said", NO_ANSWERS, ids=range(len(NO_ANSWERS)))
def test_an_answer_of_another_shape_is_no_answer(
    server: KeyServerDouble, provider: KeyProvider, said: bytes
) -> None:
    """Whoever waits gets our own refusal and its advice, not a fault of ours."""
    server.will_answer(MAKE, Answer(204))
    for question in (KEY, WRAP, UNWRAP):
        server.will_answer(question, Answer(200, said))

    for act in (
        provider.versions,
        provider.rotate,
        lambda: provider.wrap_many(SECRETS),
        lambda: provider.unwrap_many(WRAPPED),
        lambda: provider.destroy_before(1),
    ):
        with pytest.raises(Unavailable):
            act()


@pytest.mark.parametrize(
    "keys",
    [7, "12", ["1", 2], [1], {"one": 1}, {"1.5": 1}, {"1_0": 1}, {"0": 1}, {"-1": 1}, None, [[]]],
)
def test_versions_that_are_no_numbers_are_no_answer(
    server: KeyServerDouble, provider: KeyProvider, keys: object
) -> None:
    """A wrong list of versions could call a destroyed master key held, or a held one destroyed."""
    server.will_answer(KEY, Answer(200, {"data": {"keys": keys}}))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.versions()


@pytest.mark.parametrize(
    "said",
    [{"version": 3}, *({"latest_version": one} for one in ("x", None, 1.5, True, 0, 10**9))],
)
def test_a_rotation_without_its_version_is_no_answer(
    server: KeyServerDouble, provider: KeyProvider, said: object
) -> None:
    """Nobody may guess under which version keys are wrapped from now on."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(ROTATE, Answer(200, {"data": said}))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.rotate()


ENDLESS = b'{"data": {"latest_version": %s, "renewable": true, "ttl": %s}, "auth": {"lease_duration": %s}}'


@pytest.mark.parametrize("number", [b"1e999", b"9" * 400])
@pytest.mark.parametrize("question", [LOOKUP, ROTATE])
def test_a_number_without_end_is_no_answer(
    server: KeyServerDouble, provider: KeyProvider, question: str, number: bytes
) -> None:
    """JSON has numbers that no version and no span of time can be."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(question, Answer(200, ENDLESS.replace(b"%s", number)))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.rotate()


def test_a_key_that_may_not_be_made_names_the_command_that_makes_it(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """The token is right to be weak; an administrator has to act, once."""
    server.will_answer(KEY, Answer(404, {"errors": []}))
    server.will_answer(MAKE, Answer(403, {"errors": ["permission denied"]}))

    with pytest.raises(SettingsFault, match="bao write -f transit/keys/live type=aes256-gcm96"):
        provider.versions()


# Many at once


def test_one_key_that_could_not_be_wrapped_fails_them_all(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """Half a rotation's shard keys would be half a keyring."""
    server.will_answer(WRAP, Answer(400, batch(GOOD_ITEM, {"error": "cannot encrypt"})))

    with pytest.raises(Unavailable, match="could not wrap"):
        provider.wrap_many(SECRETS)


def test_one_key_that_does_not_open_under_a_held_version_is_damaged(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """Its master key is there, so the bytes are at fault: not to be taken for an erasure."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(UNWRAP, Answer(400, batch({"plaintext": "c3Nz"}, {"error": "invalid"})))

    with pytest.raises(IntegrityFault) as fault:
        provider.unwrap_many(WRAPPED)
    assert fault.value.code == "wrapped_key_corrupt"


@pytest.mark.parametrize("body", [batch(GOOD_ITEM), {"data": {}}])
def test_too_few_answers_are_none(
    server: KeyServerDouble, provider: KeyProvider, body: dict[str, object]
) -> None:
    """Paired with the wrong places, they would wrap one shard's key as another's."""
    server.will_answer(WRAP, Answer(200, body))

    with pytest.raises(Unavailable, match="some of the keys only"):
        provider.wrap_many(SECRETS)


BAD_CIPHERTEXTS = ["", "vault", "vault:v0:d3d3", "vault:v:d3d3", "vault:v1:d3d", "x:v1:d3d3", 7]
BAD_CIPHERTEXTS += ["vault:v1:", "vault:v1:d3 3", "vault:v99999999999:d3d3", None, ["d3d3"]]


@pytest.mark.parametrize("ciphertext", BAD_CIPHERTEXTS, ids=str)
def test_what_is_no_ciphertext_is_not_kept_as_one(
    server: KeyServerDouble, provider: KeyProvider, ciphertext: object
) -> None:
    """Stored, it would be a key that never opens again."""
    server.will_answer(WRAP, Answer(200, batch(GOOD_ITEM, {"ciphertext": ciphertext})))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.wrap_many(SECRETS)


@pytest.mark.parametrize("item", [{}, {"plaintext": 7}, {"plaintext": None}, {"plaintext": "c3N"}])
def test_what_is_no_plaintext_is_not_used_as_a_key(
    server: KeyServerDouble, provider: KeyProvider, item: dict[str, object]
) -> None:
    """Half a key, or none, must not come near a film; and no key is called destroyed for it."""
    server.will_answer(UNWRAP, Answer(200, batch({"plaintext": "c3Nz"}, item)))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.unwrap_many(WRAPPED)


@pytest.mark.parametrize("results", [7, "two", [1, 2], [None, None], ["ab", "cd"], {"a": 1}])
def test_a_batch_of_something_else_is_no_answer(
    server: KeyServerDouble, provider: KeyProvider, results: object
) -> None:
    """Nothing in it is guessed at."""
    for question in (WRAP, UNWRAP):
        server.will_answer(question, Answer(200, {"data": {"batch_results": results}}))

    for act in (lambda: provider.wrap_many(SECRETS), lambda: provider.unwrap_many(WRAPPED)):
        with pytest.raises(Unavailable, match="no answer that can be read"):
            act()


def test_a_question_that_the_server_refuses_points_at_the_settings(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """A mistyped mount is the usual cause."""
    server.will_answer(WRAP, Answer(400, {"errors": ["no handler for route"]}))

    with pytest.raises(Unavailable, match="CONSENT_KEY_PROVIDER") as fault:
        provider.wrap_many(SECRETS)
    assert fault.value.details == {"status": 400}


# The token


def test_a_token_that_may_not_look_itself_up_still_serves(
    server: KeyServerDouble, provider: KeyProvider, clock: list[float]
) -> None:
    """It is looked at again later, not before every question."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(LOOKUP, Answer(403, {"errors": ["permission denied"]}))

    assert provider.versions() == provider.versions() == [1]
    assert server.times_asked(LOOKUP) == 1
    clock[0] += 31
    provider.versions()

    assert server.times_asked(LOOKUP) == 2
    assert server.times_asked(RENEW) == 0


def test_a_token_that_cannot_be_renewed_is_not_asked_to(
    server: KeyServerDouble, provider: KeyProvider, clock: list[float]
) -> None:
    """Its agent replaces it; half of its time later it is looked at again."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(LOOKUP, Answer(200, {"data": {"renewable": False, "ttl": 3600}}))

    provider.versions()
    clock[0] += 1900
    provider.versions()

    assert server.times_asked(LOOKUP) == 2
    assert server.times_asked(RENEW) == 0


def test_a_renewal_that_is_refused_leaves_the_token_in_use(
    server: KeyServerDouble, provider: KeyProvider, clock: list[float]
) -> None:
    """What is left of its time is used, and the next half of it brings another try."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(LOOKUP, Answer(200, {"data": {"renewable": True, "ttl": 3600}}))
    server.will_answer(RENEW, Answer(403, {"errors": ["permission denied"]}))

    for elapsed in (0, 1900, 1700, 101):
        clock[0] += elapsed
        assert provider.versions() == [1]

    assert server.times_asked(RENEW) == 2


@pytest.mark.parametrize(
    "said", [b"[]", b"{}", b"no", {"auth": None}, {"auth": {}}, {"auth": {"lease_duration": "x"}}]
)
def test_a_renewal_that_says_nothing_is_tried_again_later(
    server: KeyServerDouble, provider: KeyProvider, clock: list[float], said: object
) -> None:
    """Something stands between us and the key server: said once, and not before every question."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(LOOKUP, Answer(200, {"data": {"renewable": True, "ttl": 3600}}))
    server.will_answer(RENEW, Answer(200, said))
    provider.versions()
    clock[0] += 1900

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.versions()
    assert provider.versions() == [1]
    clock[0] += 31
    with pytest.raises(Unavailable):
        provider.versions()

    assert server.times_asked(RENEW) == 2


def test_a_look_up_with_a_time_that_is_none_is_no_answer(
    server: KeyServerDouble, provider: KeyProvider
) -> None:
    """A token that ends unseen would stop everything later."""
    server.will_answer(KEY, ONE_VERSION)
    server.will_answer(LOOKUP, Answer(200, {"data": {"renewable": False, "ttl": "an hour"}}))

    with pytest.raises(Unavailable, match="no answer that can be read"):
        provider.versions()


def test_a_refused_token_is_tried_once_more_only_if_the_file_has_another(
    server: KeyServerDouble, provider: KeyProvider, token: Path
) -> None:
    """Asking again with the same token would change nothing."""
    server.will_answer(KEY, Answer(403), Answer(403), ONE_VERSION)

    with pytest.raises(Refused) as refused:
        provider.versions()
    assert is_forbidden(refused.value)
    assert server.times_asked(KEY) == 1
    token.write_text("second-token")

    assert provider.versions() == [1]
    assert server.tokens[-2:] == ["first-token", "second-token"]


def test_a_token_file_with_something_else_in_it_is_a_wrong_setting(
    server: KeyServerDouble, provider: KeyProvider, token: Path
) -> None:
    """A token is ASCII; whatever this is must not go over the wire."""
    token.write_bytes("schlüssel".encode())

    with pytest.raises(SettingsFault, match="token file"):
        provider.versions()
    assert server.asked == []
