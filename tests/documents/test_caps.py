"""What is refused before it is printed."""

import pytest

from consent_service.documents import caps
from consent_service.documents.caps import check_caps
from consent_service.documents.content import PdfAttachment
from consent_service.errors import InvalidInput, TooLarge
from tests.documents import papers


def test_caps_refuse_more_than_two_thousand_rows() -> None:
    """What nobody could read is refused before it costs anything."""
    with pytest.raises(TooLarge, match="2000 rows"):
        check_caps(papers.certificate(caps.MAX_ROWS + 1), [])
    check_caps(papers.certificate(1_500), [])


def test_caps_refuse_too_much_text_and_endless_words_and_depth() -> None:
    """Each is a way to keep the machine busy."""
    with pytest.raises(TooLarge, match="KB of text"):
        check_caps(papers.leaflet("word " * 60_000), [])
    with pytest.raises(TooLarge, match="A word has"):
        check_caps(papers.leaflet("x" * 501), [])
    nested: object = "deep"
    for _ in range(10_000):
        nested = (nested,)
    with pytest.raises(TooLarge, match="nested"):
        check_caps(papers.withdrawal_receipt(ended=nested), [])
    check_caps(papers.leaflet("漢" * 10_000), [])


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "\ud800", "\uffff"])
def test_caps_refuse_characters_that_cannot_be_printed(text: str) -> None:
    """A null cuts a name short in some programs and not in others."""
    with pytest.raises(InvalidInput) as refused:
        check_caps(papers.consent_copy(given_by=text), [])
    assert set(refused.value.faults) == {"given_by"}


def test_caps_refuse_more_files_than_fit() -> None:
    """An attached film would be plaintext in a document."""
    large = PdfAttachment("x.bin", "application/octet-stream", bytes(17 * 1024 * 1024))
    with pytest.raises(TooLarge):
        check_caps(papers.leaflet(), [large])
