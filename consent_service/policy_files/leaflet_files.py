"""Read a leaflet version: `leaflet.yaml` for its control data, `<language>.md` for its words.

Rules kept here:
  * the words end in the control line, so that paper and record name the same version;
  * every claim that the words number has its source, and every source is used;
  * a version without languages is control data only: its words come from the team's own file.
"""

import re
from pathlib import Path

from consent_service.domain.leaflets import LeafletVersion, Source
from consent_service.policy_files.checking import check_translations, checked
from consent_service.policy_files.faults import Faults
from consent_service.policy_files.shapes import LeafletShape
from consent_service.policy_files.yaml_lines import Document, read_text, read_yaml

LEAFLET_FILE = "leaflet.yaml"
MARK = re.compile(r"\[(\d{1,2})\]")


def read_leaflet(folder: Path, path: str, faults: Faults) -> LeafletVersion | None:
    """Return the leaflet version in `path` (relative to `folder`), or None after noting faults."""
    document = read_yaml(folder, f"{path}/{LEAFLET_FILE}", faults)
    shape = checked(document, LeafletShape, faults)
    if document is None or shape is None:
        return None
    texts = {
        language: text
        for language in shape.languages
        if (text := read_text(folder, f"{path}/{language}.md", faults)) is not None
    }
    leaflet = LeafletVersion(
        code=shape.code,
        version=shape.version,
        issued_on=shape.issued_on,
        archive_on=shape.archive_on,
        owner=shape.owner,
        title=shape.title,
        texts=texts,
        sources=tuple(Source(s.claim, s.reference, s.address) for s in shape.sources),
        quotes=shape.quotes,
    )
    _check_dates(document, path, leaflet, faults)
    check_translations(document, shape, faults)
    for language in texts:
        _check_text(f"{path}/{language}.md", leaflet, language, faults)
    return leaflet


def _check_dates(document: Document, path: str, leaflet: LeafletVersion, faults: Faults) -> None:
    if leaflet.archive_on <= leaflet.issued_on:
        faults.add(
            document.file,
            document.line(("archive_on",)),
            f"the archive date {leaflet.archive_on} is not after the issue date "
            f"{leaflet.issued_on}, expected a later day",
        )
    expected = f"leaflets/{leaflet.code}/v{leaflet.version}"
    if path != expected:
        faults.add(
            document.file,
            document.line(("version",)),
            f"the leaflet {leaflet.code} version {leaflet.version} stands in {path}, "
            f"expected {expected}",
        )


def _check_text(file: str, leaflet: LeafletVersion, language: str, faults: Faults) -> None:
    text = leaflet.texts[language]
    lines = text.rstrip().split("\n")
    if not lines[0].startswith("# "):
        faults.add(file, 1, "the leaflet has no title, expected `# Title` first")
    if lines[-1].strip() != leaflet.control_line:
        faults.add(
            file,
            len(lines),
            f"the last line is not the control line, expected {leaflet.control_line}",
        )
    marked = {int(number) for number in MARK.findall(text)}
    for number, line in enumerate(lines, start=1):
        for mark in MARK.findall(line):
            if not 1 <= int(mark) <= len(leaflet.sources):
                faults.add(file, number, f"[{mark}] has no source in {LEAFLET_FILE}, expected one")
    for number in range(1, len(leaflet.sources) + 1):
        if number not in marked:
            faults.add(file, 1, f"source {number} backs no claim, expected [{number}] in the words")
