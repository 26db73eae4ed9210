"""`app` for any WSGI server that streams; starts no scheduler.

Before it answers, the journal is replayed, so that a restored backup never serves what was ended.
A server that keeps request bodies in files would write film in plain: it is refused.
"""

import sys

from consent_service.app import create_app
from consent_service.errors import SettingsFault
from consent_service.services import startup
from consent_service.wiring import build_context, settings_from

if "waitress" in sys.modules:
    raise SettingsFault(
        "waitress keeps uploads in files, unencrypted. Serve with granian or gunicorn instead."
    )

_context = build_context(settings_from())
startup.require_ready(_context)
app = create_app(_context)
