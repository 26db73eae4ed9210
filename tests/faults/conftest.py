"""The same clinic as for use cases: whatever was restored, the services are the real ones."""

from tests.services.conftest import clinic

__all__ = ["clinic"]
