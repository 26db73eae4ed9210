"""What cannot be meant is refused before anything starts, naming the setting."""

from pathlib import Path

import pytest

from consent_service.errors import SettingsFault
from consent_service.settings import load_settings


def test_a_setting_given_twice_is_refused(tmp_path: Path) -> None:
    """One of two secrets would win in silence, and the other be thought in use."""
    kept = tmp_path / "secret"
    kept.write_text("from a file, and long enough for a key")
    environ = {
        "CONSENT_SECRET_KEY": "from here, and long enough for a key",
        "CONSENT_SECRET_KEY_FILE": str(kept),
    }

    with pytest.raises(SettingsFault) as refused:
        load_settings(environ)

    assert "CONSENT_SECRET_KEY_FILE" in refused.value.message
    assert "from" not in refused.value.message
    for name, value in environ.items():
        assert load_settings({name: value}).secret_key is not None


def test_the_environment_wins_over_the_file_of_defaults(tmp_path: Path) -> None:
    """Setting a name in one place by value and in the other by file is no contradiction."""
    kept = tmp_path / "secret"
    kept.write_text("from a file, and long enough for a key")
    dotenv = tmp_path / ".env"
    dotenv.write_text("CONSENT_SECRET_KEY=from the defaults, and long enough\n")

    settings = load_settings({"CONSENT_SECRET_KEY_FILE": str(kept)}, dotenv)

    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "from a file, and long enough for a key"


@pytest.mark.parametrize(
    ("listen", "base_url"),
    [
        ("0.0.0.0:8000", "http://localhost:8000"),
        ("[::]:8000", "http://127.0.0.1:8000"),
        ("192.0.2.7:8000", ""),
        ("127.0.0.1:8000", "http://film.example"),
    ],
)
def test_plain_http_beyond_this_machine_is_refused(listen: str, base_url: str) -> None:
    """An address that says localhost protects nobody when every neighbour can reach the port."""
    with pytest.raises(SettingsFault) as refused:
        load_settings({"CONSENT_LISTEN": listen, "CONSENT_BASE_URL": base_url})

    assert "http" in refused.value.message


@pytest.mark.parametrize(
    ("listen", "base_url"),
    [
        ("127.0.0.1:8000", ""),
        ("[::1]:8000", "http://localhost:8000"),
        ("0.0.0.0:8000", "https://film.example"),
    ],
)
def test_http_on_this_machine_and_https_anywhere_are_fine(listen: str, base_url: str) -> None:
    """The quick start needs no certificate, and a proxy in front brings its own."""
    settings = load_settings({"CONSENT_LISTEN": listen, "CONSENT_BASE_URL": base_url})

    assert settings.listen == listen
