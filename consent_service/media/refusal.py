"""Why a film is refused, as codes the child may send and sentences only the parent writes."""

from consent_service.errors import ConsentServiceError, InvalidInput, NotAFilm

SENTENCES = {
    "container": "This is not an MP4 or WebM film: choose the film file itself.",
    "unreadable": "The film cannot be read: copy it from the camera again.",
    "cut_short": "The film ends before it should: copy it from the camera again.",
    "no_picture": "There is no moving picture in this file: choose a film.",
    "video_codec": "The picture is coded in a way we do not take: film in H.264, VP8 or VP9.",
    "audio_codec": "The sound is coded in a way we do not take: record AAC or Opus.",
    "streams": "The file holds too many streams for a film: choose a film from a camera.",
    "dimensions": "The picture is larger than we take: film in 1080p or 4K.",
    "frame_rate": "The film says it has an impossible number of pictures a second.",
    "duration": "The film says it lasts an impossible time.",
    "too_costly": "The film needs more time or memory than any real film: it is refused.",
    "hostile": "The film made its reader misbehave: it is refused.",
}


FIELD_SENTENCES = {
    "outside": "The time lies outside the film: choose one within it.",
    "clip_empty": "There are no pictures to cut between these marks: mark a longer clip.",
    "clip_too_long": "An exactly cut clip lasts at most 30 minutes: mark a shorter one.",
}


class FilmRefused(Exception):
    """Raised in the child; `reason` is a key of `SENTENCES` or `FIELD_SENTENCES`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def not_a_film(reason: str) -> NotAFilm:
    """Return the refusal of a film; `details["reason"]` holds the code."""
    known = reason if reason in SENTENCES else "hostile"
    return NotAFilm(SENTENCES[known], reason=known)


def refusal(reason: str) -> ConsentServiceError:
    """Return what a code from the child means to the caller: a bad film, or a bad mark in it."""
    if reason in FIELD_SENTENCES:
        sentence = FIELD_SENTENCES[reason]
        return InvalidInput(sentence, {"time": sentence}, reason=reason)
    return not_a_film(reason)
