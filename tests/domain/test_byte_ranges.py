"""Which bytes a request asks for: players seek by these."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.byte_ranges import ByteRange, asked_range
from consent_service.errors import RangeInvalid

ETAG = '"film"'


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=90-", 90, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-1000", 0, 100),
        ("Bytes= 5-6 ", 5, 7),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str, start: int, end: int) -> None:
    """One byte off is a broken film."""
    assert asked_range(header, None, ETAG, 100) == ByteRange(start, end, partial=True)


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=0-1,5-6", "items=0-1", "chapters=a-b"],
)
def test_what_is_no_single_range_gets_the_whole(header: str | None) -> None:
    """A server may ignore a range that it does not serve; it may not answer something else."""
    assert asked_range(header, None, ETAG, 100) == ByteRange(0, 100, partial=False)


@pytest.mark.parametrize(
    "header",
    ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b"],
)
def test_a_range_outside_or_none_at_all_is_refused_and_names_the_size(header: str) -> None:
    """The refusal tells the player how long the film is."""
    with pytest.raises(RangeInvalid) as refused:
        asked_range(header, None, ETAG, 100)

    assert refused.value.details["size"] == 100


def test_a_range_for_another_version_gets_the_whole() -> None:
    """Parts of two versions joined would be neither."""
    for other in ('"older"', f"W/{ETAG}", "Mon, 02 Nov 2026 09:30:00 GMT"):
        assert not asked_range("bytes=0-9", other, ETAG, 100).partial
    assert asked_range("bytes=0-9", ETAG, ETAG, 100).partial


def test_an_empty_object_has_no_range() -> None:
    """Nothing can be asked of nothing."""
    with pytest.raises(RangeInvalid):
        asked_range("bytes=-5", None, ETAG, 0)
    assert asked_range(None, None, ETAG, 0).length == 0


@given(st.text(max_size=40), st.integers(0, 1000))
def test_any_header_gives_bytes_inside_or_a_refusal(header: str, size: int) -> None:
    """Whatever a program sends, no byte outside the film is ever asked for."""
    try:
        found = asked_range(f"bytes={header}", None, ETAG, size)
    except RangeInvalid:
        return
    assert 0 <= found.start <= found.end <= size
    assert found.content_range(size).endswith(f"/{size}")
