"""Families' pages in other languages: complete, marked while nobody approved them, and either way.

After a change of words: extract them anew, as `_messages` does, and bring both catalogues up to it.
"""

import dataclasses
import re
from collections.abc import Iterator
from datetime import date
from html import unescape
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as BabelMessage
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from consent_service.domain.links import LinkKind
from consent_service.domain.policies import SignOff
from consent_service.web import languages
from tests.support.clinic import Clinic, Family
from tests.support.own_links import answer_all, holding, make_link
from tests.support.pages import Pages, Visitor, open_pages, words

WEB = Path(languages.__file__).parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2.ext.babel_extract")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false"}}
KEYWORDS = {"_": None, "_l": None, "gettext": None, "ngettext": (1, 2)}
SAMPLES = ("ar", "cy")
PSEUDO = "eo"
PLACE = re.compile(r"%\(\w+\)[sd]")
Message = str | tuple[str, ...]


def _messages() -> set[Message]:
    """Every message of the pages, as their source says it."""
    found = extract_from_dir(str(WEB), METHODS, OPTIONS, KEYWORDS)
    return {message for _, _, message, _, _ in found}


def _catalogue(code: str, kind: str = "po") -> Catalog:
    path = languages.CATALOGUES / code / "LC_MESSAGES" / f"messages.{kind}"
    with path.open("rb") as file:
        return read_po(file, locale=code) if kind == "po" else read_mo(file)


def _said(catalogue: Catalog) -> set[tuple[str, str]]:
    return {(str(message.id), str(message.string)) for message in catalogue if message.id}


def _pairs(message: BabelMessage) -> Iterator[tuple[str, str]]:
    """What a message says in English and in the catalogue; of plurals each form."""
    if isinstance(message.id, str):
        yield message.id, str(message.string)
    else:
        yield from ((message.id[-1], said) for said in message.string or [""])


@pytest.fixture
def in_a_demo(clinic: Clinic) -> None:
    """The data folder says that its families are invented."""
    clinic.ctx.settings.under_data("DEMO").touch()


@pytest.fixture
def pseudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language whose every message is the English one between brackets."""
    made = Catalog(locale=PSEUDO)
    for message in _messages():
        said = tuple(f"⟦{m}⟧" for m in message) if isinstance(message, tuple) else f"⟦{message}⟧"
        made.add(message, said)
    folder = tmp_path / "translations" / PSEUDO / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "messages.mo").open("wb") as file:
        write_mo(file, made)
    monkeypatch.setattr(languages, "CATALOGUES", tmp_path / "translations")
    languages.catalogues.cache_clear()
    yield
    languages.catalogues.cache_clear()


@pytest.mark.usefixtures("in_a_demo")
def test_a_family_reads_its_page_from_right_to_left_when_it_chooses_so(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Arabic on a page laid out for English is hard to read even when every word is right."""
    mother = holding(pages, make_link(clinic, family))

    chosen = mother.opens("/own?language=ar").get_data(as_text=True)
    kept = mother.opens("/own").get_data(as_text=True)

    assert '<html lang="ar" dir="rtl"' in chosen
    assert "nhsuk-frontend.rtl.min.css" in chosen
    assert "صفحتك" in kept and "2 نوفمبر 2026" in kept
    assert "<bdi>Rosa Invented</bdi>" in kept
    assert "nobody has approved these words" in kept


def test_words_that_nobody_approved_are_offered_to_no_real_family(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A wrong word about consent in a language that the team cannot read helps nobody."""
    mother = holding(pages, make_link(clinic, family))

    shown = mother.opens("/own?language=ar").get_data(as_text=True)

    assert '<html lang="en" dir="ltr"' in shown
    assert "own-languages" not in shown


def test_approved_words_are_offered_without_a_warning(clinic: Clinic, family: Family) -> None:
    """Whoever approved stands in the organisation's own policy, not in a catalogue."""
    approved = {"cy": SignOff("Head of translation", date(2026, 9, 1))}
    policies = clinic.ctx.policies
    organisation = dataclasses.replace(policies.organisation, page_languages=approved)
    with_welsh = dataclasses.replace(policies, organisation=organisation)
    clinic.ctx = dataclasses.replace(clinic.ctx, policies=with_welsh)
    mother = holding(open_pages(clinic), make_link(clinic, family))

    shown = mother.opens("/own?language=cy").get_data(as_text=True)

    assert "Eich tudalen" in shown and "2 Tachwedd 2026" in shown
    assert "nobody has approved" not in shown
    assert 'hreflang="ar"' not in shown


@pytest.mark.usefixtures("in_a_demo")
def test_the_teams_pages_stay_in_english(pages: Pages, clinic: Clinic, family: Family) -> None:
    """Half a translation of clinical pages would be a hazard."""
    guider = pages.as_("guider")

    shown = guider.opens(f"/families/{family.involvement}?language=ar").get_data(as_text=True)

    assert '<html lang="en" dir="ltr"' in shown


@pytest.mark.parametrize("code", SAMPLES)
def test_a_catalogue_has_every_message_and_none_that_is_gone(code: str) -> None:
    """One sentence left in English in the middle of a page looks like a mistake of the reader."""
    catalogue = _catalogue(code)
    there = {message.id for message in catalogue if message.id}

    assert there == _messages()
    for message in filter(lambda found: found.id, catalogue):
        for source, said in _pairs(message):
            assert said, source
            assert set(PLACE.findall(said)) <= set(PLACE.findall(source)), source
            assert isinstance(message.id, tuple) or set(PLACE.findall(source)) <= set(
                PLACE.findall(said)
            ), source


@pytest.mark.parametrize("code", SAMPLES)
def test_what_is_served_is_what_the_catalogue_says(code: str) -> None:
    """The compiled file is committed beside its source; one must not be changed alone."""
    compiled = BytesIO()
    write_mo(compiled, _catalogue(code))
    compiled.seek(0)

    assert _said(_catalogue(code, "mo")) == _said(read_mo(compiled)) != set()


@pytest.mark.usefixtures("pseudo", "in_a_demo")
def test_no_sentence_of_a_familys_pages_escapes_translation(clinic: Clinic, family: Family) -> None:
    """What nobody marked for translation stays English whatever the reader chose."""
    pages = open_pages(clinic)
    asked = make_link(clinic, clinic.family(), LinkKind.CONSENT)
    parent = holding(pages, make_link(clinic, family))
    parent.opens(f"/own?language={PSEUDO}")
    answering = holding(pages, asked)
    answering.opens(f"/own/consent?language={PSEUDO}")
    known = _known(clinic, answering)

    for visitor, path in (
        (parent, "/own"),
        (parent, "/own/stop"),
        (answering, "/own/consent"),
        (answering, "/own/consent/page/1"),
        (answering, "/own/consent/check"),
    ):
        assert _in_english(visitor.opens(path).get_data(as_text=True), known) == [], path
    answer_all(answering)
    assert _in_english(answering.opens("/own/consent/done").get_data(as_text=True), known) == []


def _known(clinic: Clinic, answering: Visitor) -> str:
    """Words that are policy or facts and are translated, if at all, somewhere else."""
    organisation = clinic.ctx.policies.organisation
    labels = " ".join(purpose.label for purpose in clinic.ctx.policies.purposes.values())
    leaflet = words(answering.opens("/own/consent"))
    answering.posts("/own/consent")
    policy = f"{leaflet} {words(answering.opens('/own/consent/words'))}"
    return " ".join((policy, labels, labels.lower(), str(organisation), "English Esperanto"))


def _in_english(html: str, known: str) -> list[str]:
    """Pieces of text with words that are neither translated nor known."""
    html = re.sub(r"<(script|style|head).*?</\1>|<bdi>.*?</bdi>", " ", html, flags=re.S)
    html = re.sub(r"<(div|p|strong|a)\b[^>]* lang=.*?</\1>", " ", html, flags=re.S)
    pieces = unescape(re.sub(r"<[^>]+>", "\n", html))
    bare = re.sub(r"⟦[^⟧]*⟧|\w+ Invented", " ", pieces)
    found = [" ".join(piece.split()).strip(" :…") for piece in bare.split("\n")]
    return [p for p in found if re.search(r"[A-Za-z]{2}", p) and p not in known]
