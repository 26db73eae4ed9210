"""What every answer carries, and what is refused before a byte of it is read."""

from dataclasses import replace
from pathlib import Path

from flask import request
from pydantic import SecretStr

from consent_service.app import create_app
from consent_service.web.headers import player_styles
from tests.support.clinic import Clinic
from tests.support.pages import Pages


def test_a_page_runs_and_loads_only_what_we_send(pages: Pages) -> None:
    """A script from elsewhere on a page with a family on it would see all that we see."""
    policy = pages.stranger().opens("/sign-in").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


def test_only_the_player_may_style_itself(pages: Pages) -> None:
    """The exception for its controls must not spread to every page."""
    policy = pages.stranger().opens("/sign-in").headers["Content-Security-Policy"]

    assert len(player_styles()) > 10
    assert not any(digest in policy for digest in player_styles())


def test_nothing_behind_the_sign_in_is_kept_by_a_browser(pages: Pages) -> None:
    """The next person at a shared computer must not find a family in its cache."""
    guider = pages.as_("guider")

    for path in ("/families", "/account", "/leaflets"):
        assert guider.opens(path).headers["Cache-Control"] == "no-store"


def test_every_answer_says_how_it_may_be_used(pages: Pages) -> None:
    """Also the answers nobody thinks of: errors, files, health."""
    visitor = pages.stranger()

    for path in ("/sign-in", "/nothing-here", "/static/pages.css", "/health/live"):
        headers = visitor.opens(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        assert headers["Referrer-Policy"] == "same-origin", path
        assert "camera=(self)" in headers["Permissions-Policy"], path


def test_over_https_the_cookie_is_bound_to_this_host(clinic: Clinic, tmp_path: Path) -> None:
    """A cookie that another host or plain http could set is one that others can choose."""
    settings = clinic.ctx.settings.model_copy(update={"base_url": "https://film.clinic.example"})
    app = create_app(replace(clinic.ctx, settings=settings))

    answer = app.test_client().get("/sign-in", base_url="https://film.clinic.example")

    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert "Secure" in cookie
    assert "HttpOnly" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")


def test_a_form_that_is_too_large_is_refused_before_it_is_read(pages: Pages) -> None:
    """Nobody may fill the memory of the service with a form."""
    guider = pages.as_("guider")

    answer = guider.client.post(
        "/families/new",
        environ_overrides={"CONTENT_LENGTH": str(600 * 1024)},
        content_type="application/x-www-form-urlencoded",
    )

    assert answer.status_code == 413


def test_a_form_without_its_token_is_refused(pages: Pages, clinic: Clinic) -> None:
    """Another site must not be able to send our forms for somebody signed in here."""
    answer = pages.as_("guider").client.post("/families/new", data={"team": clinic.team})

    assert answer.status_code == 400


def test_guessing_is_slowed_down(pages: Pages) -> None:
    """A machine that guesses passwords must run into a wall, and be told when to come back."""
    visitor = pages.stranger()
    visitor.opens("/sign-in")

    answers = [visitor.posts("/sign-in", email="a@clinic.example", password="x") for _ in range(21)]

    assert [a.status_code for a in answers[:20]] == [200] * 20
    assert answers[20].status_code == 429
    assert int(answers[20].headers["Retry-After"]) > 0


def test_metrics_need_their_own_token_and_name_nobody(clinic: Clinic) -> None:
    """Figures help whoever runs the service; they are nobody else's business."""
    settings = clinic.ctx.settings.model_copy(update={"metrics_token": SecretStr("a-token")})
    client = create_app(replace(clinic.ctx, settings=settings)).test_client()
    client.get(f"/families/{'0' * 32}")

    closed = client.get("/metrics")
    opened = client.get("/metrics", headers={"Authorization": "Bearer a-token"})

    assert closed.status_code in (302, 401)
    assert opened.status_code == 200
    assert 'consent_requests_total{endpoint="families.show"' in opened.get_data(as_text=True)
    assert "0" * 32 not in opened.get_data(as_text=True)


def test_the_service_says_whether_it_is_ready(pages: Pages, clinic: Clinic) -> None:
    """A load balancer must not send families to a service that lost its database."""
    ready = pages.stranger().opens("/health/ready")
    clinic.ctx.keyring.close()
    Path(clinic.ctx.settings.data_dir, "keyring.sqlite3").unlink()
    broken = pages.stranger().opens("/health/ready")

    assert ready.get_json()["status"] == "ok"
    assert broken.status_code == 503
    assert broken.get_json()["checks"]["keys"] is False


def test_only_a_proxy_that_the_settings_name_is_believed(clinic: Clinic) -> None:
    """Anybody can write a header; guessing must be counted against who really guesses."""
    settings = clinic.ctx.settings.model_copy(update={"trusted_proxies": "10.0.0.5, 10.1.0.0/16"})
    app = create_app(replace(clinic.ctx, settings=settings))
    app.add_url_rule("/whoami", "health.whoami", lambda: request.remote_addr)
    app.before_request_funcs[None] = []

    def seen_from(address: str) -> str:
        answer = app.test_client().get(
            "/whoami",
            headers={"X-Forwarded-For": "203.0.113.9"},
            environ_overrides={"REMOTE_ADDR": address},
        )
        return answer.get_data(as_text=True)

    assert seen_from("10.0.0.5") == "203.0.113.9"
    assert seen_from("10.1.2.3") == "203.0.113.9"
    assert seen_from("198.51.100.7") == "198.51.100.7"
