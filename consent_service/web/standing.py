"""Nothing is answered beside a broken journal, or a database older than it.

Rules kept here: every request of a served process asks the watch; only what machines ask about the
process itself, and files that anybody may have, are answered whatever it says.
"""

import atexit
import threading
from typing import cast

from flask import Flask, current_app, request

from consent_service.errors import ConsentServiceError
from consent_service.services.journal_watch import JournalWatch

EXTENSION = "consent_journal_watch"
ANSWERED_ANYWAY = frozenset({"static", "health.live", "health.ready", "health.metrics"})


def register(app: Flask, watch: JournalWatch) -> None:
    """Have every request ask `watch` first."""
    app.extensions[EXTENSION] = watch
    app.before_request(_require_whole_journal)


def watch_on(watch: JournalWatch) -> threading.Event:
    """Have a thread look again and again until the process ends or the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,), name="journal-watch", daemon=True)
    thread.start()
    atexit.register(stop.set)
    return stop


def is_whole() -> bool:
    """Tell whether requests are answered now."""
    watch = _watch()
    try:
        if watch is not None:
            watch.require_whole()
    except ConsentServiceError:
        return False
    return True


def _require_whole_journal() -> None:
    watch = _watch()
    if watch is not None and request.endpoint not in ANSWERED_ANYWAY:
        watch.require_whole()


def _watch() -> JournalWatch | None:
    """Return the watch of this app; an app that a test made has none."""
    return cast("JournalWatch | None", current_app.extensions.get(EXTENSION))
