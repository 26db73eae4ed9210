"""A setting of a wrong form is refused when it is read, not hours later by whatever uses it."""

from pathlib import Path

import pytest

from consent_service.errors import SettingsFault
from consent_service.settings import load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "hush"),
        ("TRUSTED_PROXIES", "10.0.0.5, hush"),
        ("TRUSTED_PROXIES", "10.0.0.5,"),
        ("TRUSTED_PROXIES", "10.0.0.5/40"),
        ("MAX_UPLOAD", "0"),
        ("MAX_UPLOAD", "-1"),
        ("MAX_UPLOAD", "0 GiB"),
        ("MAX_UPLOAD", "much"),
        ("SECRET_KEY", "hush"),
        ("SECRET_KEY", "h" * 31),
        ("SMTP_URL", "hush"),
        ("SMTP_URL", "http://mail.example?from=a@b.example"),
        ("SMTP_URL", "smtp://?from=a@b.example"),
        ("SMTP_URL", "smtp://u:hush@mail.example"),
        ("SMTP_URL", "smtp://u:hush/x@mail.example?from=a@b.example"),
        ("SMTP_URL", "smtp://mail.example:hush?from=a@b.example"),
        ("SMTP_URL", "smtp://[hush?from=a@b.example"),
    ],
)
def test_a_value_of_a_wrong_form_is_refused_by_name(name: str, value: str) -> None:
    """The fault names the setting, and says nothing of its value: that may be a secret."""
    with pytest.raises(SettingsFault) as refused:
        load_settings({f"CONSENT_{name}": value})

    assert f"CONSENT_{name} " in refused.value.message
    assert "hush" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", ""),
        ("TRUSTED_PROXIES", " "),
        ("TRUSTED_PROXIES", "10.0.0.5, 10.1.0.0/16,2001:db8::/32"),
        ("MAX_UPLOAD", "1"),
        ("MAX_UPLOAD", "4 GiB"),
        ("SECRET_KEY", "h" * 32),
        ("SMTP_URL", "smtp://mail.example?from=a@b.example"),
        ("SMTP_URL", "smtps://u:pw@mail.example:465?from=a@b.example"),
    ],
)
def test_a_value_of_a_right_form_is_taken(name: str, value: str) -> None:
    """What worked yesterday works today."""
    assert load_settings({f"CONSENT_{name}": value})


@pytest.mark.parametrize("wrong", ["CONSENT_TLS_CERT", "CONSENT_TLS_KEY"])
def test_a_certificate_that_is_no_file_is_refused_with_its_path(tmp_path: Path, wrong: str) -> None:
    """The web server would end with a traceback that names neither."""
    there = tmp_path / "there.pem"
    there.touch()
    names = {"CONSENT_TLS_CERT": str(there), "CONSENT_TLS_KEY": str(there)}
    assert load_settings(names).secure
    for path in (tmp_path / "missing.pem", tmp_path):
        with pytest.raises(SettingsFault) as refused:
            load_settings({**names, wrong: str(path)})

        assert wrong in refused.value.message
        assert str(path) in refused.value.message
