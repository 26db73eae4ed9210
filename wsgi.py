"""`app` for any WSGI server that streams; starts no scheduler.

Each worker process has to load it for itself: with gunicorn, leave `--preload` off.
"""

from consent_service.app import create_served_app

app = create_served_app()
