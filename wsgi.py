"""`app` for any WSGI server that streams; starts no scheduler."""

from consent_service.app import create_served_app

app = create_served_app()
