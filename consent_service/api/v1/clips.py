"""Watching clips and looking at stills, each under a stated purpose."""

from flask import Response

from consent_service.api import film
from consent_service.api.operations import Ask, Room
from consent_service.api.v1.recordings import ContentQuery
from consent_service.domain.assets import AssetKind
from consent_service.domain.roles import Permission as P

room = Room("clips")


@room.get(
    "/clips/{id}/content",
    P.FILM_WATCH,
    query=ContentQuery,
    media=film.MEDIA,
    ranges=AssetKind.CLIP,
)
def watch_clip(ask: Ask, id: str, query: ContentQuery) -> Response:
    """Watch a clip for a purpose; each viewing is written down."""
    return film.serve(ask, AssetKind.CLIP, id, query.purpose)


@room.get(
    "/stills/{id}/content",
    P.FILM_WATCH,
    query=ContentQuery,
    media=film.PICTURES,
    ranges=AssetKind.STILL,
)
def see_still(ask: Ask, id: str, query: ContentQuery) -> Response:
    """Look at a still for a purpose; each viewing is written down."""
    return film.serve(ask, AssetKind.STILL, id, query.purpose)
