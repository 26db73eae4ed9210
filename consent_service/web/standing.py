"""Nothing is answered beside a broken journal, or a database older than it.

Rules kept here: every request of a served process asks the watch, and so do streams and erasures,
by the app's Context; only what machines ask about the process itself, and files that anybody may
have, are answered whatever it says.
"""

import atexit
import threading

from flask import Flask, request

from consent_service.errors import ConsentServiceError
from consent_service.services.journal_watch import JournalWatch
from consent_service.web import here

ANSWERED_ANYWAY = frozenset({"static", "health.live", "health.ready", "health.metrics"})


def register(app: Flask, watch: JournalWatch) -> None:
    """Have every request ask `watch` first, and every stream and erasure of this app."""
    app.extensions[here.EXTENSION].standing.follow(watch)
    for each in (app, app.extensions[here.PROGRAMS]):
        each.before_request(_require_whole_journal)


def watch_on(watch: JournalWatch) -> threading.Event:
    """Have a thread look again and again until the process ends or the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,), name="journal-watch", daemon=True)
    thread.start()
    atexit.register(stop.set)
    return stop


def is_whole() -> bool:
    """Tell whether requests are answered now."""
    try:
        here.ctx().standing.require_whole()
    except ConsentServiceError:
        return False
    return True


def _require_whole_journal() -> None:
    if request.endpoint not in ANSWERED_ANYWAY:
        here.ctx().standing.require_whole()
