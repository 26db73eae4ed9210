"""How this process writes its log: a line a request, for people or as JSON, to standard error.

Rules kept here: a line holds codes, ids and figures; no address with an id of a person, no name, no
text that anybody typed, and never the values of a trace.
"""

import logging
import sys
from typing import Any

import structlog

from consent_service.settings import Settings


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
