"""From a film as it arrived to the film that is served: measured, cleaned, one object.

Rules kept here: a film that is too long is refused, and a long one without a reason (rule 15).
"""

from dataclasses import dataclass

from consent_service import media
from consent_service.domain.assets import AssetKind
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.errors import InvalidInput
from consent_service.services import film_objects, storing
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.vault.container import new_data_key

MEDIA_TYPES = {"mp4": "video/mp4", "webm": "video/webm"}


@dataclass(frozen=True)
class Received:
    """A film as it arrived: its size in bytes, its digest, and why it is long, if it is."""

    size: int
    sha256: str
    reason: str | None


def make_film(
    ctx: Context,
    caller: Caller,
    place: storing.Place,
    film: media.FilmSource,
    received: Received,
) -> storing.Finished:
    """Make the object that is served of a film as it arrived, under a key of its own.

    Raises NotAFilm, InvalidInput for its length, Unavailable or DiskFull.
    """
    data_key = new_data_key()
    target = film_objects.film_place(place.asset, AssetKind.RECORDING, place.generation)
    with film_objects.writing(ctx, target, data_key, expected_size=received.size) as writer:
        made = media.remux(film, film_objects.output_to(writer))
        _check_length(ctx, made.probe.duration_s / 60, received.reason)
    stored = film_objects.written(target, writer)
    return storing.Finished(
        place,
        stored,
        data_key,
        facts_of(made.probe),
        (
            _event(EventKind.RECORDING_RECEIVED, caller, place, received.size, received.sha256),
            _event(EventKind.RECORDING_STORED, caller, place, stored.plain_size, stored.sha256),
        ),
        received_sha256=received.sha256,
    )


def facts_of(probe: media.Probe) -> storing.FilmFacts:
    """Return what to write down of a film as its viewers see it."""
    width, height = probe.shown_size
    return storing.FilmFacts(
        MEDIA_TYPES[probe.container],
        round(probe.duration_s * 1000),
        width,
        height,
        round(probe.fps * 1000),
    )


def _event(
    kind: EventKind, caller: Caller, place: storing.Place, size: int, digest: str
) -> AuditEvent:
    return AuditEvent(
        kind, caller.actor, place.asset, place.involvement, {"size": size, "digest": digest}
    )


def _check_length(ctx: Context, minutes: float, reason: str | None) -> None:
    """Refuse a film that is too long, or long without a reason (rule 15)."""
    limits = ctx.policies.organisation.film_length
    if minutes >= limits.refuse_from_minutes:
        sentence = f"A film lasts less than {limits.refuse_from_minutes} minutes. Film less."
        raise InvalidInput(sentence, {"content": sentence}, code="film_too_long")
    if minutes >= limits.ask_from_minutes and not reason:
        sentence = f"Say why this film lasts {limits.ask_from_minutes} minutes or more."
        raise InvalidInput(sentence, {"reason_for_length": sentence}, code="reason_needed")
