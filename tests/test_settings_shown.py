"""What people are shown of the settings has no secret in it, wherever in an address it stands."""

import pytest

from consent_service.settings import load_settings


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://u:hush@h/db",
        "postgresql+psycopg://u:x@h/db?password=hush",
        "postgresql+psycopg://u:a/hush@hush@h/db",
        "postgresql+psycopg://u:a@b?hush@h/db?sslmode=require",
        "postgresql+psycopg://u:a#hush@h/db",
        "postgresql+psycopg://h/db?password=a@hush",
        "postgresql+psycopg://h/db?sslmode=require&hush",
        "postgresql+psycopg://h/db?sslmode=require;password=hush",
        "postgresql+psycopg://h/db#hush",
        "postgresql:u:hush@h/db",
        "s3://hush@film/clinic",
        "s3://film?secret_key=hush",
        "s3://film?endpoint=https://u:hush@s3.example",
        "s3://film?endpoint=https%3A%2F%2Fu%3Ahush%40s3.example",
        "s3://film?endpoint=https://s3.example/?key=hush",
    ],
)
def test_no_part_of_a_secret_in_an_address_is_shown(address: str) -> None:
    """`check` is pasted into tickets, and the dashboard shows the same lines."""
    shown = load_settings({"CONSENT_DATABASE_URL": address}).masked()["CONSENT_DATABASE_URL"]

    assert "hush" not in shown
    assert "********" in shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql+psycopg://u:x@h:5432/db", "postgresql+psycopg://********@h:5432/db"),
        (
            "postgresql+psycopg://h/db?sslmode=verify-full&password=x",
            "postgresql+psycopg://h/db?sslmode=verify-full&password=********",
        ),
        (
            "s3://film/clinic?endpoint=https://s3.example&credentials_file=/run/secrets/s3",
            "s3://film/clinic?endpoint=https://s3.example&credentials_file=/run/secrets/s3",
        ),
        ("sqlite:////srv/@film/consent.sqlite3", "sqlite:////srv/@film/consent.sqlite3"),
    ],
)
def test_what_is_no_secret_stays_readable(address: str, shown: str) -> None:
    """An operator looks here for which server and which place are meant."""
    settings = load_settings({"CONSENT_DATABASE_URL": address})

    assert settings.masked()["CONSENT_DATABASE_URL"] == shown
