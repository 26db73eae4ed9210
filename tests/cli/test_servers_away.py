"""What an operator is told while the key server or the film store is out of reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, Said
from tests.support.processes import free_port


@pytest.fixture
def settings(ready: CommandLine) -> Iterator[Path]:
    """The settings of the installation, as a file that the next start reads."""
    path = ready.folder / ".env"
    yield path
    path.unlink()


def _findings(said: Said) -> dict[str, tuple[str, str]]:
    return {line["what"]: (line["state"], line["finding"]) for line in said.json}


def _key_servers(port: int, token: Path) -> str:
    return "".join(
        f"CONSENT_{name}_PROVIDER=openbao://127.0.0.1:{port}/transit/{name.lower()}"
        f"?token_file={token}&tls=off\n"
        for name in ("KEY", "ESCROW")
    )


def test_a_start_without_its_key_server_ends_with_one_sentence(
    ready: CommandLine, settings: Path, tmp_path: Path
) -> None:
    """Whoever is called at night must see at once which machine to look at."""
    token = tmp_path / "token"
    token.write_text("of-nobody")
    settings.write_text(_key_servers(free_port(), token))

    checked = ready("check", "--json")
    started = ready.in_a_process("serve")

    state, finding = _findings(checked)["set-up"]
    assert (checked.code, state) == (1, "fault")
    assert finding.startswith("The key server does not answer.")
    assert (started.code, started.err.strip()) == (1, f"Error: {finding}")


def test_check_says_that_the_film_store_is_away_and_the_keys_are_not(
    ready: CommandLine, settings: Path, tmp_path: Path
) -> None:
    """One server down must not look like all of them."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id=a\naws_secret_access_key=b\n")
    store = f"s3://film?endpoint=http://127.0.0.1:{free_port()}&credentials_file={credentials}"
    settings.write_text(f"CONSENT_BLOB_URL={store}\n")

    checked = ready("check", "--json")

    found = _findings(checked)
    assert checked.code == 1
    assert found["film store"][0] == "fault"
    assert "store is away" in found["film store"][1]
    assert (found["database"][0], found["keyring"][0], found["master keys"][0]) == ("ok",) * 3


def test_credentials_that_are_no_credentials_are_a_setting_to_correct(
    ready: CommandLine, settings: Path, tmp_path: Path
) -> None:
    """A wrong file is the operator's to mend, not ours to have reported."""
    (tmp_path / "credentials").write_text("no credentials\n")
    store = f"s3://film?endpoint=http://127.0.0.1:1&credentials_file={tmp_path / 'credentials'}"
    settings.write_text(f"CONSENT_BLOB_URL={store}\n")

    said = ready("check", "--json")

    assert said.code == 1
    assert "CONSENT_BLOB_URL" in _findings(said)["set-up"][1]
