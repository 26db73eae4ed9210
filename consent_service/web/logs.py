"""How this process writes its log: a line a request, for people or as JSON, to standard error.

Rules kept here: a line holds codes, ids and figures; no address with an id of a person, no name, no
text that anybody typed, and never the values of a trace.
"""

import logging
import sys
import time
from typing import Any

import structlog
from flask import Flask, g, request

from consent_service.settings import Settings

UNSAID = ("static", "health.live")
log = structlog.get_logger("consent_service.web")


def configure(settings: Settings) -> None:
    """Set the log of this process up as the settings say."""
    last: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def register(app: Flask) -> None:
    """Write one line per request: endpoint, status, time, account id; no address, no name."""
    app.after_request(_write)


def write_request(
    endpoint: str | None,
    method: str,
    status: int,
    seconds: float,
    request_id: str | None,
    account: str | None = None,
) -> None:
    """Write the line of one request that was answered."""
    log.info(
        "request",
        endpoint=endpoint,
        method=method,
        status=status,
        ms=round(seconds * 1000, 1),
        request_id=request_id,
        account=account,
    )


def _write(response: Any) -> Any:
    if request.endpoint not in UNSAID:
        now = time.perf_counter()
        write_request(
            request.endpoint,
            request.method,
            response.status_code,
            now - g.get("began", now),
            g.get("request_id"),
            _account(),
        )
    return response


def _account() -> str | None:
    account = getattr(g.get("_login_user"), "account", None)
    return None if account is None else account.id
