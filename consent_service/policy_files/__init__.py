"""Reads `policies/`, checks it, and guards what was published.

The files are text that an information governance officer reads, edits and versions; this package
turns them into the frozen values of `domain/policies.py` or says what is wrong, as
`file:line: what is wrong, what was expected`. It never changes a policy.
"""

from consent_service.policy_files.published import (
    PUBLISHED_FILE,
    check_published,
    digest_of_files,
    digest_of_form,
    digest_of_leaflet,
    files_of,
    form_path,
    leaflet_path,
    published_digests,
    read_published,
    write_published,
)
from consent_service.policy_files.reading import (
    default_policy_dir,
    form_published_since,
    read_policies,
)

__all__ = [
    "PUBLISHED_FILE",
    "check_published",
    "default_policy_dir",
    "digest_of_files",
    "digest_of_form",
    "digest_of_leaflet",
    "files_of",
    "form_path",
    "form_published_since",
    "leaflet_path",
    "published_digests",
    "read_policies",
    "read_published",
    "write_published",
]
