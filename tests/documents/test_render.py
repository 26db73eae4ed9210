"""The papers as a reader, a screen reader and an archive get them."""

import hashlib
import io
import subprocess

import pikepdf
import pytest

from consent_service.documents import render_pdf
from consent_service.documents.content import Paper, PdfAttachment, Signed
from consent_service.errors import IntegrityFault, InvalidInput
from tests.documents import papers
from tests.documents.papers import IDENTIFIER


def text_of(pdf: bytes) -> str:
    """Return the words a reader's program finds, white space made one space."""
    ended = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True)
    return " ".join(ended.stdout.decode().split())


def opened(pdf: bytes) -> pikepdf.Pdf:
    """Return the file, opened from memory."""
    return pikepdf.open(io.BytesIO(pdf))


def kind_of(paper: Paper) -> str:
    """Name a test after its paper."""
    return paper.kind.value


def test_a_consent_copy_holds_the_exact_words_of_every_statement() -> None:
    """The words are what was agreed; a ligature or a hyphen would be other characters."""
    pdf = render_pdf(papers.consent_copy(), identifier=IDENTIFIER)

    text = text_of(pdf)
    for words in papers.SHOWN:
        assert words in text
    assert "Your answer: No" in text
    assert "Tuning in, 2026 to 2028" in text
    assert "Only the clips from the first meeting, please." in text


def test_a_stranger_can_recompute_the_digest_of_the_words_from_the_copy_alone() -> None:
    """The copy proves itself: words inside, digest on the page."""
    pdf = render_pdf(papers.consent_copy(), identifier=IDENTIFIER)

    with opened(pdf) as document:
        words = document.attachments["words.txt"].get_file().read_bytes()
    assert words == papers.SHOWN_TEXT.encode()
    assert hashlib.sha256(words).hexdigest() in text_of(pdf).replace(" ", "")


def test_a_consent_copy_says_who_signed_how_when_and_how_to_withdraw() -> None:
    """A copy that does not say how to withdraw makes withdrawing harder than agreeing."""
    copy = papers.consent_copy(interpreter="Ida Interpreter", witness="Wim Witness")

    text = text_of(render_pdf(copy, identifier=IDENTIFIER))

    for words in (
        "Rowan Testcase",
        "Wren Testcase (birth mother)",
        "14 September 2026 at 3:05pm (BST)",
        "Ida Interpreter",
        "Wim Witness",
        "Recorded by: Guider",
        "L1111, V2, 01/06/2026 (Archive: 01/06/2029)",
        "use your own secure link",
        "Your care is not affected",
    ):
        assert words in text


def test_words_that_are_not_those_of_the_act_are_never_printed() -> None:
    """A copy of other words would be a forged consent, whoever made the mistake."""
    copy = papers.consent_copy(shown_text=papers.SHOWN_TEXT + "One more thing.\n")

    with pytest.raises(IntegrityFault):
        render_pdf(copy, identifier=IDENTIFIER)


def test_a_drawn_signature_is_a_picture_that_a_screen_reader_can_name() -> None:
    """A picture without words is nothing to somebody who cannot see it."""
    drawn = render_pdf(papers.consent_copy(), identifier=IDENTIFIER)
    typed = Signed(name="Rowan Testcase", manner="Typed their name")
    written = render_pdf(papers.consent_copy(signed=typed), identifier=IDENTIFIER)

    assert alternatives(drawn) == ["Signature of Rowan Testcase, drawn on screen"]
    assert alternatives(written) == []
    assert "Typed their name" in text_of(written)


def alternatives(pdf: bytes) -> list[str]:
    """Return the alternative texts in the file."""
    with opened(pdf) as document:
        return [
            str(thing["/Alt"])
            for thing in document.objects
            if isinstance(thing, pikepdf.Dictionary) and "/Alt" in thing
        ]


def test_a_withdrawal_receipt_says_what_goes_what_stays_and_that_care_is_not_affected() -> None:
    """The receipt is the promise that the ledger has to keep."""
    text = text_of(render_pdf(papers.withdrawal_receipt(), identifier=IDENTIFIER))

    for words in (
        "Your care is not affected",
        "CA-7F3K-22",
        "Until 21 September 2026 at 3:05pm (BST)",
        "2 films, recorded on 9 September 2026",
        "12 October 2026",
        "Part of the health record",
        "1 photo that was handed to you on 10 September 2026",
    ):
        assert words in text


def test_a_receipt_for_a_withdrawal_at_once_offers_no_undo() -> None:
    """Nothing may be promised that can no longer be kept."""
    receipt = papers.withdrawal_receipt(undo_until=None, destroyed=(), kept=())

    text = text_of(render_pdf(receipt, identifier=IDENTIFIER))

    assert "You can still change your mind" not in text
    assert "no film or photo was kept" in text
    assert "No film or photo is kept." in text


def test_a_certificate_carries_its_signed_original_and_all_three_times() -> None:
    """The page is for people; what can be verified is the file inside."""
    certificate = papers.certificate()
    pdf = render_pdf(certificate, identifier=IDENTIFIER)

    text = text_of(pdf)
    with opened(pdf) as document:
        assert document.attachments["certificate.json"].get_file().read_bytes() == (
            certificate.body.encode()
        )
    assert "Not yet: a later revision says when" in text
    assert "3 of 3 listed here." in text
    assert "Held: complaint" in text
    assert certificate.inventory.lines[2].id in text.replace(" ", "")


def test_every_page_of_a_leaflet_carries_its_control_line() -> None:
    """A page that was copied must still say which version it is, and until when."""
    long_text = papers.LEAFLET_TEXT.replace("- Time", "- And film again\n" * 120 + "- Time")

    pdf = render_pdf(papers.leaflet(long_text), identifier=IDENTIFIER)

    with opened(pdf) as document:
        pages = len(document.pages)
    assert pages > 2
    assert text_of(pdf).count(papers.CONTROL_LINE) == pages


def test_a_handover_receipt_and_a_summary_hold_what_was_agreed() -> None:
    """Photos are decided one by one; strengths stand in the parent's summary."""
    receipt = text_of(render_pdf(papers.handover_receipt(), identifier=IDENTIFIER))
    summary = text_of(render_pdf(papers.summary(), identifier=IDENTIFIER))

    assert "The first smile" in receipt
    assert "Declined" in receipt
    assert "You waited, and Wren turned to you." in summary
    assert "7 of 10" in summary


@pytest.mark.parametrize("large_print", [False, True], ids=["ordinary", "large print"])
@pytest.mark.parametrize("paper", papers.all_papers(), ids=kind_of)
def test_two_renderings_are_equal_byte_for_byte(paper: Paper, large_print: bool) -> None:
    """A copy asked for years later must be the same document, or it proves nothing."""
    first = render_pdf(paper, identifier=IDENTIFIER, large_print=large_print)
    render_pdf(papers.leaflet(), identifier="another", large_print=not large_print)
    second = render_pdf(paper, identifier=IDENTIFIER, large_print=large_print)

    assert first == second
    assert first != render_pdf(paper, identifier="another", large_print=large_print)


@pytest.mark.parametrize("paper", papers.all_papers(), ids=kind_of)
def test_every_paper_says_it_is_pdf_a_3a_and_pdf_ua_1_and_is_tagged(paper: Paper) -> None:
    """A record kept for decades has to open in decades, and for everyone."""
    with opened(render_pdf(paper, identifier=IDENTIFIER)) as document:
        metadata = document.open_metadata()

        assert metadata["pdfaid:part"] == "3"
        assert metadata["pdfaid:conformance"] == "A"
        assert metadata["pdfuaid:part"] == "1"
        assert "pdfaExtension:schemas" in document.Root.Metadata.read_bytes().decode()
        assert document.Root.MarkInfo.Marked
        assert "/StructTreeRoot" in document.Root
        assert str(document.Root.Lang) == "en"
        assert document.Root.ViewerPreferences.DisplayDocTitle
        assert document.Root.OutputIntents[0].S == "/GTS_PDFA1"
        assert fonts_without_file(document) == []


def test_every_header_cell_says_what_it_heads() -> None:
    """A screen reader says the header with each cell; it has to know which one."""
    with opened(render_pdf(papers.certificate(), identifier=IDENTIFIER)) as document:
        scopes = [
            str(thing.A.Scope)
            for thing in document.objects
            if isinstance(thing, pikepdf.Dictionary) and thing.get("/S") == "/TH"
        ]

    assert scopes.count("/Column") >= 8
    assert scopes.count("/Row") == 10


def fonts_without_file(document: pikepdf.Pdf) -> list[str]:
    """Return the font descriptors that carry no font."""
    descriptors = [
        thing
        for thing in document.objects
        if isinstance(thing, pikepdf.Dictionary) and thing.get("/Type") == "/FontDescriptor"
    ]
    assert descriptors
    return [str(d.FontName) for d in descriptors if not d.keys() & {"/FontFile2", "/FontFile3"}]


def test_large_print_is_at_least_eighteen_points() -> None:
    """A parent who asked for large print gets it, not the same page again."""
    ordinary = render_pdf(papers.leaflet(), identifier=IDENTIFIER)
    large = render_pdf(papers.leaflet(), identifier=IDENTIFIER, large_print=True)

    assert smallest_line(ordinary) < 13
    assert smallest_line(large) >= 18


def smallest_line(pdf: bytes) -> float:
    """Return the height in points of the smallest word on the first page, foot line apart."""
    heights = []
    for line in boxes_of(pdf):
        top, bottom = (float(line.split(f'{edge}="')[1].split('"')[0]) for edge in ("yMin", "yMax"))
        if bottom < 780:
            heights.append(bottom - top)
    return min(heights)


def boxes_of(pdf: bytes) -> list[str]:
    """Return one line for each word of the first page, with its edges in points."""
    ended = subprocess.run(
        ["pdftotext", "-bbox", "-l", "1", "-", "-"], input=pdf, capture_output=True, check=True
    )
    return [line for line in ended.stdout.decode().splitlines() if "<word " in line]


def test_a_leaflet_in_another_language_says_so_and_runs_its_own_way() -> None:
    """A screen reader must change its voice, and Arabic runs from right to left."""
    arabic = f"# ما هو الإرشاد؟\n\nيمكنك التوقف في أي وقت\n\n{papers.CONTROL_LINE}\n"

    pdf = render_pdf(papers.leaflet(arabic), identifier=IDENTIFIER, language="ar")

    with opened(pdf) as document:
        assert str(document.Root.Lang) == "ar"
    assert left_edge_of("يمكنك", pdf) > 300


def left_edge_of(word: str, pdf: bytes) -> float:
    """Return how far from the left a word starts on the first page, in points."""
    as_drawn = word[::-1]  # pdftotext names the letters of a right-to-left word in page order
    line = next(line for line in boxes_of(pdf) if word in line or as_drawn in line)
    return float(line.split('xMin="')[1].split('"')[0])


def test_a_file_given_along_keeps_its_kind_and_relationship() -> None:
    """A program that opens the file looks for what it knows by media type."""
    bundle = PdfAttachment("consent.json", "application/fhir+json", b"{}", "Data", "The consent")

    pdf = render_pdf(papers.consent_copy(), identifier=IDENTIFIER, attachments=[bundle])

    with opened(pdf) as document:
        file = document.attachments["consent.json"]
        assert file.get_file().read_bytes() == b"{}"
        assert file.get_file().mime_type == "application/fhir+json"
        assert file.get_file().creation_date == papers.AT
        assert file.get_file().mod_date == papers.AT
        assert str(file.obj.AFRelationship) == "/Data"


def test_markup_in_content_is_printed_as_the_characters_that_were_typed() -> None:
    """A name that looks like HTML is a name."""
    person = "<img src=x> & <b>Rowan</b>"

    text = text_of(render_pdf(papers.consent_copy(given_by=person), identifier=IDENTIFIER))

    assert person in text


@pytest.mark.parametrize("tag", ["", "en\n", "<en>", "e" * 40])
def test_a_language_that_is_no_language_tag_is_refused(tag: str) -> None:
    """The tag is written into the page; anything else has no business there."""
    with pytest.raises(InvalidInput):
        render_pdf(papers.leaflet(), identifier=IDENTIFIER, language=tag)
