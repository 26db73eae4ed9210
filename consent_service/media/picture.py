"""Takes one picture out of a film as a JPEG: upright, without Exif or any other metadata."""

import io
from fractions import Fraction

from av.video.frame import VideoFrame
from PIL import Image

from consent_service.media.copying import seek
from consent_service.media.packets import exact
from consent_service.media.reading import RemoteFilm, open_film
from consent_service.media.refusal import FilmRefused

_QUALITY = 92
_TOLERANCE = Fraction(1, 1000)
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def load_codecs() -> None:
    """Load the image formats while files can still be opened."""
    Image.preinit()


def take(film: RemoteFilm, at: Fraction, max_width: int | None) -> bytes:
    """Return the picture on show at `at` seconds, no wider than `max_width`, as JPEG bytes."""
    picture = _upright(_frame_at(film, at))
    if max_width is not None and picture.width > max_width:
        height = max(1, round(picture.height * max_width / picture.width))
        picture = picture.resize((max_width, height), Image.Resampling.LANCZOS)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=_QUALITY, subsampling=0)
    return jpeg.getvalue()


def _frame_at(film: RemoteFilm, at: Fraction) -> VideoFrame:
    """Return the last frame that begins at or before `at`; the first one if none does."""
    with open_film(film) as opened:
        seek(opened, at)
        found: VideoFrame | None = None
        for frame in opened.demuxer.decode(opened.video):
            begin = (frame.pts or 0) * exact(frame.time_base)
            if found is not None and begin > at + _TOLERANCE:
                return found
            found = frame
    if found is None:
        raise FilmRefused("unreadable")
    return found


def _upright(frame: VideoFrame) -> Image.Image:
    picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    turn = _TURNS.get(round(frame.rotation / 90) % 4 * 90)
    return picture if turn is None else picture.transpose(turn)
