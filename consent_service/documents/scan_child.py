"""The process that looks at one scan of a signed paper, reads it from its input, and ends.

Whoever scans may hand over any file, so it is opened here: no network, nothing written, bounded
memory and time. What comes out is made anew: a picture without anything but its pixels, or a PDF
without scripts, attachments or actions. Several files, such as a photo of each page, become one
PDF. The input is each file's length (u32, big endian) and the file; the answer is one byte (`P` a
PDF, `J` a picture, `F` a fault) and the file, or the name of the fault.
"""

import io
import struct
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence

import pikepdf
from PIL import Image, ImageFile, ImageOps, PdfImagePlugin

from consent_service.documents import confine

PICTURES = ("JPEG", "PNG")
MOST_PAGES = 20
MOST_PIXELS = 60_000_000
LONGEST_SIDE = 2600
"""Pixels: an A4 page at about 220 to the inch, on which handwriting is clear."""
LENGTH = struct.Struct(">I")
_QUALITY = 85
_DOTS_PER_INCH = 220
_OF_PAGES = ("/AA", "/Metadata", "/PieceInfo")
_OF_MARKS = ("/A", "/AA", "/PA", "/Parent")
_MARKS_KEPT = ("/Ink", "/FreeText", "/Stamp", "/Line", "/Square", "/Highlight", "/Widget")
"""What people draw or write on a page: a signature made with a pen on a tablet is one of these."""


class Unreadable(Exception):
    """The file is none of the kinds taken, or is broken; the message is the name of the fault."""


def clean(files: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the kind of a scan, `P` or `J`, and one file made anew; raises Unreadable."""
    if len(files) == 1 and not files[0].startswith(b"%PDF-"):
        return b"J", _jpeg(_picture(files[0]))
    with pikepdf.new() as whole:
        for file in files:
            with _pages(file) as pdf:
                whole.pages.extend(pdf.pages)
        if not 1 <= len(whole.pages) <= MOST_PAGES:
            raise Unreadable("pages")
        for page in whole.pages:
            _drop(page.obj, _OF_PAGES)
            _keep_drawn_marks(whole, page.obj)
        cleaned = io.BytesIO()
        whole.save(cleaned)
        return b"P", cleaned.getvalue()


def _pages(file: bytes) -> pikepdf.Pdf:
    """Open a file as the PDF that it is, or as one made of its picture."""
    if not file.startswith(b"%PDF-"):
        page = io.BytesIO()
        _picture(file).save(page, "PDF", resolution=_DOTS_PER_INCH, quality=_QUALITY)
        return pikepdf.open(page)
    try:
        pdf = pikepdf.open(io.BytesIO(file))
    except pikepdf.PasswordError:
        raise Unreadable("locked") from None
    except pikepdf.PdfError:
        raise Unreadable("unreadable") from None
    if pdf.is_encrypted:
        raise Unreadable("locked")
    return pdf


def _keep_drawn_marks(pdf: pikepdf.Pdf, page: pikepdf.Object) -> None:
    if "/Annots" not in page:
        return
    marks = [mark for mark in page.Annots if str(mark.get("/Subtype")) in _MARKS_KEPT]
    for mark in marks:
        _drop(mark, _OF_MARKS)
    page.Annots = pdf.make_indirect(pikepdf.Array(marks))


def _drop(thing: pikepdf.Object, names: Iterable[str]) -> None:
    for name in names:
        if name in thing:
            del thing[name]


def _picture(file: bytes) -> Image.Image:
    """Return the pixels of a photo or scan, upright, and nothing else of it."""
    try:
        with Image.open(io.BytesIO(file), formats=PICTURES) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("too_large") from None
    except (OSError, ValueError, SyntaxError):
        raise Unreadable("unreadable") from None
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    picture.info.clear()
    return picture


def _jpeg(picture: Image.Image) -> bytes:
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=_QUALITY)
    return jpeg.getvalue()


def _files(sent: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(sent):
        (length,) = LENGTH.unpack_from(sent, at)
        at += LENGTH.size
        yield sent[at : at + length]
        at += length


def main() -> None:
    """Clean what comes in, say what came of it."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.preinit()
    assert PdfImagePlugin  # loaded now: no file can be opened later
    limits = confine.Limits(*map(int, sys.argv[-2:]))
    confine.shut_in(limits)
    confine.allow_one_document(limits)
    try:
        kind, answer = clean(list(_files(sys.stdin.buffer.read())))
    except Unreadable as fault:
        kind, answer = b"F", str(fault).encode()
    except Exception:  # noqa: BLE001 whatever else breaks on a stranger's file, the parent is told
        kind, answer = b"F", b"unreadable"
    sys.stdout.buffer.write(kind + answer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
