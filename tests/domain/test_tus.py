"""What the headers of a resumable upload may say."""

import pytest

from consent_service.domain.tus import declared_length
from consent_service.errors import InvalidInput


@pytest.mark.parametrize(
    ("headers", "length"),
    [({}, None), ({"Upload-Length": "5"}, 5), ({"Upload-Defer-Length": "1"}, None)],
    ids=["nothing said", "said", "deferred"],
)
def test_a_length_is_said_or_deferred(headers: dict[str, str], length: int | None) -> None:
    """A camera that is still running cannot know it."""
    assert declared_length(headers) == length


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, "Upload-Defer-Length"),
        ({"Upload-Defer-Length": "2"}, "Upload-Defer-Length"),
        ({"Upload-Length": "0"}, "Upload-Length"),
        ({"Upload-Length": "many"}, "Upload-Length"),
    ],
    ids=["both", "another value", "no film", "no number"],
)
def test_what_cannot_be_meant_is_refused_by_header(headers: dict[str, str], named: str) -> None:
    """A guess at a film's length would cut it, or wait for ever."""
    with pytest.raises(InvalidInput) as refused:
        declared_length(headers)

    assert set(refused.value.faults) == {named}
