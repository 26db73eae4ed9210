"""The muxer's two performances: room found, order kept, difference noticed."""

import io
from typing import Any

import av
import pytest

from consent_service.media.mux import OutOfOrder, mux_twice
from consent_service.media.sample import Style, make_sample_film
from tests.support import films


def feed_of(content: bytes, calls: list[int], stop_at: int | None = None) -> Any:
    """A feed that copies a film's picture; the last call may stop early."""

    def feed(output: av.container.OutputContainer) -> None:
        calls.append(1)
        with av.open(io.BytesIO(content)) as film:
            stream = output.add_stream_from_template(film.streams.video[0])
            for number, packet in enumerate(film.demux(film.streams.video[0])):
                if packet.dts is None or (len(calls) > 1 and number == stop_at):
                    return
                packet.stream = stream
                output.mux(packet)

    return feed


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_too_little_room_for_the_index_costs_another_rehearsal(container: str) -> None:
    """A guess may be wrong; the result may not: the index still stands first, whole."""
    every_picture = Style(key_frame_every_s=0.04, sound=False)
    content = make_sample_film(40, (32, 32), container, style=every_picture)
    calls: list[int] = []
    out = bytearray()
    size = mux_twice(container, feed_of(content, calls), out.extend, room=0)
    assert len(calls) > 2
    assert size == len(out)
    assert films.times(bytes(out))["video"] == films.times(content)["video"]
    if container == "mp4":
        assert films.boxes(bytes(out))[:2] == ["ftyp", "moov"]
    else:
        assert films.segment_elements(bytes(out))[0] == "Cues"


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_performance_that_differs_from_its_rehearsal_is_noticed(container: str) -> None:
    """The index that went out first would otherwise describe another film."""
    content = films.phone_film(container)
    with pytest.raises(OutOfOrder):
        mux_twice(container, feed_of(content, [], stop_at=40), lambda block: None, room=0)
