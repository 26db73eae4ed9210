"""Scans of signed papers: what a stranger's file is made into before anything keeps it."""

import io

import pikepdf
import pytest
from PIL import Image

from consent_service.documents.scan import SENTENCES, clean_scan
from consent_service.documents.scan_child import MOST_PAGES, Unreadable, clean
from consent_service.errors import InvalidInput, TooLarge

GPS = 0x8825


def _picture(kind: str = "JPEG", size: tuple[int, int] = (320, 200), **more: object) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, "white").save(held, kind, **more)
    return held.getvalue()


def _pdf(pages: int = 1, *, script: bool = False, lock: pikepdf.Encryption | bool = False) -> bytes:
    held = io.BytesIO()
    with pikepdf.new() as pdf:
        for _ in range(pages):
            pdf.add_blank_page()
        if script:
            pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
            pdf.attachments["evil.exe"] = b"MZ"
            pdf.pages[0].obj.Annots = pdf.make_indirect(
                pikepdf.Array(
                    [_mark("Link", "A"), _mark("Ink", "A"), _mark("FileAttachment", "FS")]
                )
            )
        pdf.save(held, encryption=lock)
    return held.getvalue()


def _mark(kind: str, acts: str) -> pikepdf.Dictionary:
    return pikepdf.Dictionary(
        {
            "/Type": pikepdf.Name.Annot,
            "/Subtype": pikepdf.Name("/" + kind),
            "/Rect": [0, 0, 9, 9],
            "/" + acts: pikepdf.Dictionary(S=pikepdf.Name.URI, URI="https://example.org"),
        }
    )


def test_a_photo_of_a_paper_keeps_its_pixels_and_nothing_else() -> None:
    """A telephone writes where it was into every picture: a family's home."""
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif.get_ifd(GPS)[2] = (51.0, 30.0, 0.0)
    kept = clean_scan([_picture(exif=exif, comment=b"at home")])

    assert kept.media_type == "image/jpeg"
    with Image.open(io.BytesIO(kept.content)) as shown:
        assert shown.size == (200, 320)
        assert not shown.getexif()
        assert "comment" not in shown.info


def test_a_photo_of_each_page_becomes_one_paper() -> None:
    """The form has several pages, and whoever has no scanner takes a picture of each."""
    kept = clean_scan([_picture("PNG"), _picture(), _pdf(pages=2)])

    assert kept.media_type == "application/pdf"
    with pikepdf.open(io.BytesIO(kept.content)) as paper:
        assert len(paper.pages) == 4


def test_what_acts_in_a_pdf_is_gone_and_what_was_drawn_on_it_stays() -> None:
    """A signature made with a pen on a tablet is a mark; a script in the paper is an attack."""
    _, cleaned = clean([_pdf(script=True)])

    with pikepdf.open(io.BytesIO(cleaned)) as paper:
        assert set(paper.Root.keys()) <= {"/Type", "/Pages", "/Version", "/Extensions"}
        (mark,) = paper.pages[0].obj.Annots
        assert mark.Subtype == "/Ink"
        assert "/A" not in mark
    assert b"evil.exe" not in cleaned


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"MZ not a paper", "unreadable"),
        (_picture()[:200], "unreadable"),
        (b"%PDF-1.7 and then nothing", "unreadable"),
        (_picture("GIF"), "unreadable"),
        (_pdf(lock=pikepdf.Encryption(owner="o", user="u")), "locked"),
        (_pdf(pages=MOST_PAGES + 1), "pages"),
        (_picture("PNG", (9000, 9000)), "too_large"),
    ],
)
def test_what_is_no_scan_is_refused_by_name(
    file: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal says what to do, so that nobody tries the same file again."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000_000)
    with pytest.raises(Unreadable) as refused:
        clean([file])
    assert str(refused.value) == reason


def test_refusals_come_back_as_sentences_and_too_much_is_not_even_sent() -> None:
    """What the child says is a word; only this service's own sentences are shown."""
    with pytest.raises(InvalidInput) as refused:
        clean_scan([b"MZ not a paper"])
    assert refused.value.faults == {"scan": SENTENCES["unreadable"]}
    with pytest.raises(InvalidInput):
        clean_scan([])
    with pytest.raises(TooLarge):
        clean_scan([b"x" * (25 * 1024 * 1024)])
