"""For machines: is it alive, is it ready, and what does it count."""

import hmac
import time
from typing import Any

from flask import Blueprint, Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from consent_service.errors import NotFound, NotSignedIn
from consent_service.services import health as checks
from consent_service.web import standing
from consent_service.web.here import ctx

health = Blueprint("health", __name__)
FIGURES = "consent_figures"


class Figures:
    """What one process counts. Labels are endpoints and statuses, never addresses or ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "consent_requests", "Requests answered", ["endpoint", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "consent_request_seconds", "Time to answer", ["endpoint"], registry=self.registry
        )

    def count(self, endpoint: str, status: int, seconds: float | None) -> None:
        """Count a request that was answered, and the time that took where it is known."""
        self.requests.labels(endpoint, str(status)).inc()
        if seconds is not None:
            self.seconds.labels(endpoint).observe(seconds)


def register(app: Flask, figures: Figures) -> None:
    """Count every request of an app; one process has the same figures for all its apps."""
    app.extensions[FIGURES] = figures
    app.after_request(_count)


@health.get("/health/live")
def live() -> ResponseReturnValue:
    """Say that the process answers; touches nothing else."""
    return jsonify(status="ok")


@health.get("/health/ready")
def ready() -> ResponseReturnValue:
    """Say whether database, keys, store and journal can be used; which one, when not."""
    found = {check.name: check.ok for check in checks.ready(ctx())}
    found["journal"] &= standing.is_whole()
    good = all(found.values())
    body = {"status": "ok" if good else "unavailable", "checks": found}
    return jsonify(body), 200 if good else 503


@health.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Return the counts of this process, to whoever has the metrics token."""
    token = ctx().settings.metrics_token
    if token is None:
        raise NotFound("Metrics are off: no token is set.", kind="page")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        raise NotSignedIn("This needs the metrics token.")
    return Response(generate_latest(_figures().registry), mimetype=CONTENT_TYPE_LATEST)


def _figures() -> Figures:
    from flask import current_app

    return current_app.extensions[FIGURES]  # type: ignore[no-any-return]


def _count(response: Any) -> Any:
    seconds = time.perf_counter() - g.began if "began" in g else None
    _figures().count(request.endpoint or "none", response.status_code, seconds)
    return response
