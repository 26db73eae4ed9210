"""The key server as a keeper of master keys: what it forbids, and what happens while it is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from consent_service.errors import Refused, SettingsFault, Unavailable
from consent_service.ids import new_id
from consent_service.vault.key_providers import Assurance, KeyProvider, open_provider
from consent_service.vault.key_providers.openbao import AT_ONCE
from tests.support.openbao import OpenBao, openbao

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "docs" / "operations" / "openbao"
SECRET, PLACE = b"s" * 32, b"shard 7"


@pytest.fixture
def token(key_server: OpenBao, tmp_path: Path) -> Path:
    """A file that holds the administrator's token."""
    path = tmp_path / "token"
    path.write_text(key_server.root_token)
    return path


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OpenBao]:
    """A server that a test may stop and seal; its data stays on the disk."""
    with openbao(tmp_path / "server", "raft") as server:
        yield server


def provider_for(server: OpenBao, role: str, key: str, folder: Path) -> KeyProvider:
    """A provider that has the token of a web or worker process, under the shipped policy."""
    path = folder / f"{role}-token"
    rules = (SHIPPED / f"{role}.hcl").read_text()
    path.write_text(server.token_with(role, rules, ttl="1h", renewable=True))
    return open_provider(server.provider_url(key, path))


@pytest.fixture
def keys_made(key_server: OpenBao) -> OpenBao:
    """The server with the two keys that the shipped policies name."""
    for key in ("consent-live", "consent-escrow"):
        key_server.ask("POST", f"transit/keys/{key}", {"type": "aes256-gcm96"})
    return key_server


def test_the_server_itself_keeps_the_web_out_of_escrow(keys_made: OpenBao, tmp_path: Path) -> None:
    """Whatever the web's code does, a sealed film stays shut: this is no rule of ours to forget."""
    web = provider_for(keys_made, "web", "consent-escrow", tmp_path)
    worker = provider_for(keys_made, "worker", "consent-escrow", tmp_path)

    [sealed] = web.wrap_many([(SECRET, PLACE)])

    with pytest.raises(Refused) as refused:
        web.unwrap_many([(sealed, PLACE)])
    assert refused.value.code == "key_server_forbids"
    answer = urllib3.request(
        "POST",
        f"{keys_made.url}/v1/transit/decrypt/consent-escrow",
        json={"ciphertext": "vault:v1:AAAA"},
        headers={"X-Vault-Token": (tmp_path / "web-token").read_text()},
    )
    assert answer.status == 403
    assert worker.unwrap_many([(sealed, PLACE)]) == [SECRET]


def test_the_web_may_not_rotate_and_the_worker_may(keys_made: OpenBao, tmp_path: Path) -> None:
    """A web process that is taken over must not be able to destroy every film."""
    web = provider_for(keys_made, "web", "consent-live", tmp_path)
    worker = provider_for(keys_made, "worker", "consent-live", tmp_path)

    with pytest.raises(Refused):
        web.rotate()
    target = worker.rotate()

    assert worker.destroy_before(target) is Assurance.TRIMMED
    assert web.versions() == [target]


def test_who_backs_keys_up_opens_escrow_and_destroys_nothing(
    keys_made: OpenBao, tmp_path: Path
) -> None:
    """A copy of every key is much to hand to a person; the end of every key is more."""
    web = provider_for(keys_made, "web", "consent-escrow", tmp_path)
    operator = provider_for(keys_made, "operator", "consent-escrow", tmp_path)
    [sealed] = web.wrap_many([(SECRET, PLACE)])
    held = operator.versions()

    assert operator.unwrap_many([(sealed, PLACE)]) == [SECRET]
    with pytest.raises(Refused):
        operator.rotate()
    assert operator.versions() == held


@pytest.mark.parametrize("role", ["web", "operator"])
@pytest.mark.parametrize("key", ["consent-live", "consent-escrow"])
def test_only_the_worker_may_change_which_versions_there_are(
    keys_made: OpenBao, tmp_path: Path, role: str, key: str
) -> None:
    """Each of these steps makes film unreadable for ever when it is taken out of turn."""
    provider_for(keys_made, role, key, tmp_path)
    headers = {"X-Vault-Token": (tmp_path / f"{role}-token").read_text()}
    steps: dict[str, dict[str, int]] = {
        "rotate": {},
        "config": {"min_decryption_version": 1, "min_encryption_version": 1},
        "trim": {"min_available_version": 1},
    }

    answers = [
        urllib3.request(
            "POST", f"{keys_made.url}/v1/transit/keys/{key}/{step}", json=body, headers=headers
        )
        for step, body in steps.items()
    ]

    assert [answer.status for answer in answers] == [403, 403, 403]


@pytest.mark.parametrize("role", ["web", "operator", "worker"])
def test_no_token_of_ours_may_read_or_delete_a_key(
    keys_made: OpenBao, tmp_path: Path, role: str
) -> None:
    """Only the server's administrators can, with its own audit log watching."""
    provider_for(keys_made, role, "consent-live", tmp_path)
    headers = {"X-Vault-Token": (tmp_path / f"{role}-token").read_text()}
    base = f"{keys_made.url}/v1/transit"

    answers = [
        urllib3.request("GET", f"{base}/export/encryption-key/consent-live", headers=headers),
        urllib3.request("DELETE", f"{base}/keys/consent-live", headers=headers),
        urllib3.request(
            "POST",
            f"{base}/keys/consent-live/config",
            json={"deletion_allowed": True},
            headers=headers,
        ),
        urllib3.request("GET", f"{base}/backup/consent-live", headers=headers),
    ]

    assert [answer.status for answer in answers] == [403, 403, 403, 403]


def test_more_secrets_than_one_request_takes_come_back_in_order(
    key_server: OpenBao, token: Path
) -> None:
    """A rotation moves a thousand shard keys at once."""
    provider = open_provider(key_server.provider_url(new_id(), token))
    secrets = [(n.to_bytes(32, "big"), n.to_bytes(4, "big")) for n in range(AT_ONCE + 3)]

    wrapped = provider.wrap_many(secrets)

    places = [place for _, place in secrets]
    opened = provider.unwrap_many(list(zip(wrapped, places, strict=True)))
    assert opened == [secret for secret, _ in secrets]


def test_while_the_server_is_sealed_or_away_nothing_opens_and_afterwards_all_does(
    own_server: OpenBao, tmp_path: Path
) -> None:
    """Fail closed, lose nothing."""
    token = tmp_path / "token"
    token.write_text(own_server.root_token)
    provider = open_provider(own_server.provider_url("live", token))
    assert provider.versions() == [1]
    [wrapped] = provider.wrap_many([(SECRET, PLACE)])

    own_server.seal()
    with pytest.raises(Unavailable):
        provider.unwrap_many([(wrapped, PLACE)])
    own_server.unseal()
    assert provider.unwrap_many([(wrapped, PLACE)]) == [SECRET]

    own_server.stop()
    with pytest.raises(Unavailable):
        provider.wrap_many([(SECRET, PLACE)])
    own_server.start()
    own_server.unseal()
    assert provider.unwrap_many([(wrapped, PLACE)]) == [SECRET]


def test_a_token_that_the_agent_replaced_is_picked_up(key_server: OpenBao, token: Path) -> None:
    """Tokens end; the service must not have to be started again for a new one."""
    provider = open_provider(key_server.provider_url(new_id(), token))
    first = key_server.token_with(
        "all", 'path "*" { capabilities = ["sudo", "create", "update", "read"] }'
    )
    token.write_text(first)
    assert provider.versions() == [1]

    key_server.ask("POST", "auth/token/revoke", {"token": first})
    with pytest.raises(Refused):
        provider.versions()
    token.write_text(key_server.root_token)

    assert provider.versions() == [1]


def test_a_token_is_renewed_before_its_time_is_over(
    key_server: OpenBao, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of an hour's token is over after thirty minutes: the next question renews it."""
    now = [1000.0]
    monkeypatch.setattr(
        "consent_service.vault.key_providers.openbao.time.monotonic", lambda: now[0]
    )
    rules = 'path "*" { capabilities = ["create", "update", "read"] }'
    mine = key_server.token_with("renews", rules, ttl="1h", renewable=True)
    token.write_text(mine)
    provider = open_provider(key_server.provider_url(new_id(), token))
    provider.versions()
    assert _renewals(key_server, mine) == 0

    now[0] += 1900
    provider.versions()

    assert _renewals(key_server, mine) == 1


def _renewals(server: OpenBao, token: str) -> int:
    """1 once the server has renewed `token`, which it notes in `last_renewal_time`."""
    seen = server.ask("POST", "auth/token/lookup", {"token": token})
    return int("last_renewal_time" in seen)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("openbao://keys.example:8200/transit/live", "token_file"),
        ("openbao://keys.example:8200/live?token_file=/t", "mount"),
        ("openbao:///transit/live?token_file=/t", "host"),
        ("openbao://keys.example/transit/live?token_file=/t&tls=off", "this machine only"),
        ("openbao://keys.example/transit/live?token_file=/t&colour=red", "colour"),
        ("openbao://keys.example/transit/live?token_file=/nowhere", "token file"),
    ],
)
def test_a_half_configured_key_server_is_refused_with_what_is_missing(url: str, fault: str) -> None:
    """A service that started without its keys would fail at the first film."""
    with pytest.raises(SettingsFault, match=fault):
        open_provider(url).versions()
