"""Everything the service refuses, with a stable `code` and a sentence that says what to do.

One root, no HTTP numbers: `web/` and `api/` map each kind to a page or a problem document.
Messages and details hold ids and codes only: never a name, an NHS number or a token.
"""

import os
from typing import Any, ClassVar


class ConsentServiceError(Exception):
    """Root of all refusals. `code` is stable; `details` are ids and codes for programs."""

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details: dict[str, Any] = details


def with_place(sentence: str, fault: BaseException) -> str:
    """Return `sentence`, and the file or folder that the system refused where it said which.

    For operators only: what the service answers to others names no path of its machine.
    """
    cause: BaseException | None = fault
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    place = cause.filename if cause is not None else None
    if not isinstance(place, str | bytes | os.PathLike) or os.fsdecode(place) in sentence:
        return sentence
    return f"{sentence} The place is {os.fsdecode(place)}."


class SettingsFault(ConsentServiceError):
    """Half-configured: names the setting that is missing or wrong."""

    default_code = "settings"


class PolicyFault(ConsentServiceError):
    """A file in `policies/` is wrong: `file:line: what, expected`."""

    default_code = "policy"


class InvalidInput(ConsentServiceError):
    """Input that is wrong field by field; `faults` maps field name to sentence."""

    default_code = "invalid"

    def __init__(self, message: str, faults: dict[str, str], **details: Any) -> None:
        super().__init__(message, **details)
        self.faults = faults


class NotSignedIn(ConsentServiceError):
    """Nobody is signed in, or the token is not valid."""

    default_code = "not_signed_in"


class LinkClosed(NotSignedIn):
    """A family's link does not open, or not any more; why is never said."""

    default_code = "link_closed"


class NotFound(ConsentServiceError):
    """No such thing, or another team's: both look alike."""

    default_code = "not_found"


class Refused(ConsentServiceError):
    """Known, but not allowed: `role`, `consent_missing`, `lacks_capacity`, `access_frozen`, ..."""

    default_code = "refused"


class Conflict(ConsentServiceError):
    """Does not fit the present state: `leaflet_archived`, `not_ready`, `too_late`, ..."""

    default_code = "conflict"


class TakenMeanwhile(Conflict):
    """Somebody wrote the same thing in the same moment; what was tried is undone."""

    default_code = "taken_meanwhile"


class Gone(ConsentServiceError):
    """Withdrawn or erased; details carry the order's reference."""

    default_code = "gone"


class Stale(ConsentServiceError):
    """The version in If-Match is not the present one."""

    default_code = "stale"


class TooLarge(ConsentServiceError):
    """More bytes than the service takes."""

    default_code = "too_large"


class ChecksumMismatch(ConsentServiceError):
    """What arrived does not sum up to what the sender said; nothing of it was kept."""

    default_code = "checksum_mismatch"


class RangeInvalid(ConsentServiceError):
    """A byte range outside the object; details carry `size`."""

    default_code = "range_invalid"


class NotAFilm(ConsentServiceError):
    """The upload is no film that we can read, or it is a bomb; it has been erased."""

    default_code = "not_a_film"


class TooManyRequests(ConsentServiceError):
    """Asked too often; details carry `retry_after` in seconds."""

    default_code = "too_many_requests"


class Unavailable(ConsentServiceError):
    """Store, keys, journal or audit cannot be used: nothing released, nothing lost."""

    default_code = "unavailable"


class DiskFull(Unavailable):
    """No room left to write; nothing half-done stays."""

    default_code = "disk_full"


class ContainerCorrupt(ConsentServiceError):
    """A stored object is not what its key and context say: altered, cut, swapped or rolled back."""

    default_code = "container_corrupt"


class KeyDestroyed(ConsentServiceError):
    """The key was destroyed (a tombstone stands) or sealed; it can never be made again."""

    default_code = "key_destroyed"


class JournalBroken(ConsentServiceError):
    """The journal is missing, cut or forked: the service must not serve until it is mended."""

    default_code = "journal_broken"


class IntegrityFault(ConsentServiceError):
    """A record, log or certificate is not what was signed; names the first bad entry."""

    default_code = "integrity"
