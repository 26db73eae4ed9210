"""Verbs beside a real key server: what each needs its token to allow, and that it needs no more."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from consent_service.vault.keyring import KeyKind
from consent_service.wiring import build_context, settings_from
from tests.support.command_line import CommandLine, Said
from tests.support.openbao import OpenBao

POLICIES = Path(__file__).parents[2] / "docs" / "operations" / "openbao"
KEYS = {"KEY": "consent-live", "ESCROW": "consent-escrow"}
SEALED = "ab" * 16
FORBIDDEN = "does not allow this to this process's token"


@dataclass(frozen=True)
class House:
    """An installation whose master keys a server keeps; each verb is called with a role's token."""

    verbs: CommandLine
    server: OpenBao

    def take(self, role: str) -> None:
        """From here on the token of this role is used, under the shipped policy."""
        rules = (POLICIES / f"{role}.hcl").read_text()
        token = self.server.token_with(role, rules, ttl="1h", renewable=True)
        (self.verbs.folder / "token").write_text(token)

    def says(self, role: str, *verb: str | Path) -> Said:
        """Call a verb with this role's token."""
        self.take(role)
        return self.verbs(*verb)

    def versions(self) -> list[dict[str, str]]:
        """The versions of both master keys that the server holds."""
        return [self.server.ask("GET", f"transit/keys/{key}")["keys"] for key in KEYS.values()]


@pytest.fixture(scope="module")
def house(key_server: OpenBao, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Set up with the web's token, by which a key was then put under escrow."""
    found = House(CommandLine(tmp_path_factory.mktemp("house")), key_server)
    folder = found.verbs.folder
    pair = pyrage.x25519.Identity.generate()
    (folder / "identity").write_text(f"{pair}\n")
    (folder / "safe").mkdir()
    settings = {"CONSENT_BACKUP_RECIPIENT": str(pair.to_public())}
    for name, key in KEYS.items():
        key_server.ask("POST", f"transit/keys/{key}", {"type": "aes256-gcm96"})
        settings[f"CONSENT_{name}_PROVIDER"] = key_server.provider_url(key, folder / "token")
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (folder / ".env").write_text("".join(lines))
    made = found.says("web", "init")
    assert made.code == 0, made.err
    ctx = build_context(settings_from({"CONSENT_DATA_DIR": str(folder / "data"), **settings}))
    now = datetime.now(UTC)
    ctx.keyring.create(SEALED, KeyKind.CONSENT, 7, now)
    assert ctx.keyring.seal([SEALED], now) == {SEALED}
    ctx.keyring.close()
    ctx.engine.dispose()
    return found


def test_a_backup_is_made_looked_through_and_put_back_with_the_webs_token(house: House) -> None:
    """It holds no key, so who makes one every day needs no token that opens escrow."""
    made = house.says("web", "backups", "create", "--to", "safe")
    assert made.code == 0, made.err
    [folder] = (house.verbs.folder / "safe").iterdir()
    opening = (folder, "--identity", "identity")

    said = [
        house.says("web", "backups", "verify", *opening),
        house.says("web", "backups", "drill", *opening),
        house.says("web", "backups", "restore", *opening, "--replace", "--yes"),
        house.says("web", "check"),
    ]

    assert [one.code for one in said] == [0, 0, 0, 0], [one.err for one in said]


def test_keys_are_backed_up_and_put_back_with_the_operators_token_and_not_the_webs(
    house: House,
) -> None:
    """What lies under escrow goes into a key backup too."""
    backup = ("keys", "backup", "keys.age")
    restore = ("keys", "restore", "keys.age", "--identity", "identity")

    refused = house.says("web", *backup)
    left = (house.verbs.folder / "keys.age").exists()
    made = house.says("operator", *backup)
    for file in (house.verbs.folder / "data").glob("keyring.sqlite3*"):
        file.unlink()
    not_put_back = house.says("web", *restore)
    put_back = house.says("operator", *restore, "--json")

    assert (refused.code, left) == (1, False)
    assert FORBIDDEN in refused.err
    assert made.code == 0, made.err
    assert not_put_back.code == 1
    assert FORBIDDEN in not_put_back.err
    assert put_back.code == 0, put_back.err
    assert put_back.json["restored"] + put_back.json["present"] >= 1


def test_master_keys_are_rotated_with_the_workers_token_alone(house: House) -> None:
    """Who may copy every key must not be the one who can destroy them all."""
    before = house.versions()
    rotate = ("keys", "rotate", "--force", "--yes")

    refused = [house.says(role, *rotate) for role in ("web", "operator")]
    between = house.versions()
    done = house.says("worker", "keys", "rotate", "--yes")  # goes on with what was begun

    assert [one.code for one in refused] == [1, 1]
    assert all(FORBIDDEN in one.err for one in refused)
    assert between == before
    assert done.code == 0, done.err
    assert all(
        not old.keys() & new.keys() for old, new in zip(before, house.versions(), strict=True)
    )
