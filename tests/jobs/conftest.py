"""The clinic in which jobs are tried, on each database engine."""

from tests.services.conftest import clinic

__all__ = ["clinic"]
