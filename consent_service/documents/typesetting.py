"""Turn one paper into PDF/A-3a and PDF/UA-1, inside the child process.

Rules kept here:
  * nothing is fetched: the only addresses that lead anywhere are the files made for this paper;
  * the same paper and identifier give the same bytes, whatever was printed before;
  * no ligatures and no hyphenation, so that the words can be found and copied as they were agreed.

Templates are ours and never made from content; content is escaped when it is put in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pydyf
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from weasyprint import CSS, HTML, Attachment, Document
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from consent_service.clock import LONDON

HERE = Path(__file__).parent
RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "sd", "ug", "ur", "yi"})

PDF_UA = b"""<rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">\
<pdfuaid:part>1</pdfuaid:part></rdf:Description>\
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" \
xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" \
xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><pdfaExtension:schemas><rdf:Bag>\
<rdf:li rdf:parseType="Resource"><pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/\
</pdfaSchema:namespaceURI><pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>\
<pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema><pdfaSchema:property><rdf:Seq>\
<rdf:li rdf:parseType="Resource"><pdfaProperty:category>internal</pdfaProperty:category>\
<pdfaProperty:description>PDF/UA version identifier</pdfaProperty:description>\
<pdfaProperty:name>part</pdfaProperty:name>\
<pdfaProperty:valueType>Integer</pdfaProperty:valueType></rdf:li></rdf:Seq>\
</pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>"""
"""Says that the file is PDF/UA-1, and describes that property as PDF/A-3 (6.6.2.3) asks."""


class FetchRefused(Exception):
    """The paper asked for something from elsewhere."""


@dataclass(frozen=True)
class Attached:
    """A file to embed."""

    name: str
    media_type: str
    content: bytes
    relationship: str
    description: str


@dataclass(frozen=True)
class Job:
    """What to print: the template's name and its values, all of them JSON."""

    template: str
    values: Mapping[str, Any]
    language: str
    large_print: bool
    identifier: bytes
    pictures: Mapping[str, str]
    attached: Sequence[Attached] = ()


class OwnFilesOnly(URLFetcher):  # type: ignore[misc]
    """Hands out what was made for this paper; any other address stops the printing.

    `files` maps the addresses that lead somewhere to media type and content.
    """

    def __init__(self, files: Mapping[str, tuple[str, bytes]]) -> None:
        # Not URLFetcher's own: that would load the machine's certificates to fetch with.
        super(URLFetcher, self).__init__()
        self._fail_on_errors = True
        self._files = files

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> URLFetcherResponse:
        """Return one of our files; raises FatalURLFetchingError for any other address."""
        if url not in self._files:
            raise FatalURLFetchingError("a paper fetches nothing")
        media_type, content = self._files[url]
        return URLFetcherResponse(url, content, {"Content-Type": media_type})


def print_job(job: Job) -> bytes:
    """Return the PDF of `job`."""
    values = {**job.values, "language": job.language, "direction": direction_of(job.language)}
    html = _environment().get_template(f"{job.template}.html").render(values)
    return print_html(html, job)


def print_html(html: str, job: Job) -> bytes:
    """Set `html` in our styles; raises FetchRefused if it asks for anything that is not ours."""
    pictures = {
        f"picture:{name}": ("image/svg+xml", svg.encode()) for name, svg in job.pictures.items()
    }
    fetcher = OwnFilesOnly(pictures)
    source = HTML(string=html, base_url="picture:", url_fetcher=fetcher)
    try:
        document = source.render(stylesheets=_styles(job.large_print), font_config=_fonts())
        pdf = document.write_pdf(
            pdf_variant="pdf/a-3a",
            pdf_identifier=job.identifier,
            attachments=_attachments(job),
            finisher=finish,
        )
    except FatalURLFetchingError as asked:  # no Exception, so that WeasyPrint lets it through
        raise FetchRefused from asked
    return bytes(pdf)


def finish(document: Document, pdf: pydyf.PDF) -> None:
    """Complete the file before it is written, for what WeasyPrint does not say by itself."""
    del document
    say_pdf_ua(pdf)
    say_header_scopes(pdf)


def say_pdf_ua(pdf: pydyf.PDF) -> None:
    """Add the PDF/UA identifier to the file's metadata."""
    metadata = _object(pdf, pdf.catalog["Metadata"])
    before, end, after = metadata.stream[0].partition(b"</rdf:RDF>")
    if not end:
        raise ValueError("the metadata has no end")
    metadata.stream[0] = before + PDF_UA + end + after


def say_header_scopes(pdf: pydyf.PDF) -> None:
    """Say of each header cell whether it heads a column or a row (PDF/UA-1, 7.5)."""
    for cell in pdf.objects:
        if isinstance(cell, dict) and cell.get("S") == "/TH":
            section = _object(pdf, _object(pdf, cell["P"])["P"])
            cell["A"]["Scope"] = "/Column" if section["S"] == "/THead" else "/Row"


def _object(pdf: pydyf.PDF, reference: bytes) -> Any:
    return pdf.objects[int(reference.split()[0])]


def direction_of(language: str) -> str:
    """Return `rtl` or `ltr` for a BCP 47 language tag."""
    return "rtl" if language.partition("-")[0].lower() in RIGHT_TO_LEFT else "ltr"


def say_day(day: str | None) -> str:
    """Return an ISO day as `14 September 2026`; an em dash for none."""
    return _long_day(date.fromisoformat(day)) if day else "—"


def say_moment(instant: str | None) -> str:
    """Return an ISO instant in London time: `14 September 2026 at 3:05pm (BST)`."""
    if not instant:
        return "—"
    at = datetime.fromisoformat(instant).astimezone(LONDON)
    return f"{_long_day(at)} at {_clock_time(at)}"


def say_short_moment(instant: str | None) -> str:
    """Return an ISO instant in London time for a narrow column: `14 Sep 2026, 3:05pm (BST)`."""
    if not instant:
        return "—"
    at = datetime.fromisoformat(instant).astimezone(LONDON)
    return f"{at.day} {at:%b %Y}, {_clock_time(at)}".replace("\N{NO-BREAK SPACE}", " ")


def say_in_metadata(instant: str) -> str:
    """Return an ISO instant as W3C date and time in UTC, to the second."""
    return f"{datetime.fromisoformat(instant).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def say_lines(text: str) -> list[str]:
    """Return the lines of a text that hold anything."""
    return [line for line in text.splitlines() if line.strip()]


def group_in_order(rows: Sequence[Mapping[str, Any]], field: str) -> list[dict[str, Any]]:
    """Return runs of rows with the same `field`, as `name` and `rows`, in the order given."""
    runs = groupby(rows, key=lambda row: row[field])
    return [{"name": name, "rows": list(run)} for name, run in runs]


def _clock_time(at: datetime) -> str:
    hour, half = at.hour % 12 or 12, "am" if at.hour < 12 else "pm"
    return f"{hour}:{at:%M}{half}\N{NO-BREAK SPACE}({at:%Z})"


def _long_day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _attachments(job: Job) -> list[Attachment]:
    made_at = datetime.fromisoformat(str(job.values["made_at"])).astimezone(UTC)
    return [
        Attachment(
            url=f"attached:{number}",
            name=file.name,
            description=file.description,
            relationship=file.relationship,
            created=made_at,
            modified=made_at,
            url_fetcher=OwnFilesOnly({f"attached:{number}": (file.media_type, file.content)}),
        )
        for number, file in enumerate(job.attached)
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["day"] = say_day
    environment.filters["moment"] = say_moment
    environment.filters["short_moment"] = say_short_moment
    environment.filters["metadata"] = say_in_metadata
    environment.filters["lines"] = say_lines
    environment.filters["groupby_order"] = group_in_order
    return environment


@cache
def _fonts() -> FontConfiguration:
    return FontConfiguration()


@cache
def _styles(large_print: bool) -> list[CSS]:
    names = ("paper.css", "large-print.css") if large_print else ("paper.css",)
    fetcher = OwnFilesOnly({})
    return [
        CSS(string=(HERE / "static" / name).read_text(), font_config=_fonts(), url_fetcher=fetcher)
        for name in names
    ]
