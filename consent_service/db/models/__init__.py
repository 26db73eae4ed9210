"""Every table of the service's database; importing this package registers them all."""

from consent_service.db.models import (
    accounts,
    audit,
    backups,
    consent,
    erasure,
    handovers,
    jobs,
    links,
    people,
    policies,
    recordings,
    retention,
    reviews,
    subject_access,
)

__all__ = [
    "accounts",
    "audit",
    "backups",
    "consent",
    "erasure",
    "handovers",
    "jobs",
    "links",
    "people",
    "policies",
    "recordings",
    "retention",
    "reviews",
    "subject_access",
]
