"""What a family reads when something is refused: in their language, without codes and ids."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import consent_service
from consent_service.domain.links import LinkKind
from consent_service.services import own_withdrawal
from consent_service.web import own_faults
from tests.support.clinic import Clinic, Family
from tests.support.own_links import answer_all, answers_on, holding, make_link
from tests.support.pages import Pages, Visitor, words
from tests.web.test_own_papers_pages import previewed

FLOORS = Path(consent_service.__file__).parent
ASKED_BY_LINK = ("withdrawal_checks", "own_withdrawal", "consent_checks")
"""The services whose sentences stand beside the boxes of a family's forms."""
NOT_BY_LINK = {
    # A link's moment is now, within the days that the work lasts, and it names known uses.
    "They agreed again after this moment. Ask them, and give the moment since then at which they"
    " said stop.",
    "The withdrawal cannot be in the future.",
    "The withdrawal cannot be before the involvement started.",
    "One of these purposes does not exist.",
    "Care cannot be kept by a withdrawal of care.",
    "The act cannot be in the future.",
    "The act cannot be before the involvement started.",
    "The act cannot be after this person died.",
    # Whoever lacks capacity is sent no link, and nobody signs paper by one.
    "Someone who lacks capacity now cannot answer, and nobody else can.",
    "Say on which later day you will ask again.",
    "A signature on paper goes with the paper route.",
    # What stands over the faults, and not beside a box.
    "This consent cannot be recorded yet. Put these right.",
}


@pytest.fixture(autouse=True)
def in_a_demo(clinic: Clinic) -> None:
    """The data folder says that its families are invented: every language is offered."""
    clinic.ctx.settings.under_data("DEMO").touch()


def _sentences(path: Path) -> Iterator[str]:
    """Every sentence that a module may say, its descriptions left out."""
    tree = ast.parse(path.read_text("utf-8"))
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    left_out |= {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in left_out:
            continue
        if isinstance(node.value, str) and re.search(r"\w+ \w+ \w+.*\.$", node.value):
            yield node.value


def test_every_sentence_beside_a_familys_box_has_its_words() -> None:
    """A new sentence of these services would stand in English amid another language."""
    said = {s for name in ASKED_BY_LINK for s in _sentences(FLOORS / "services" / f"{name}.py")}

    assert said - NOT_BY_LINK <= set(own_faults.SAID)
    assert not NOT_BY_LINK & set(own_faults.SAID)


def test_no_words_are_kept_for_a_sentence_that_nobody_says() -> None:
    """A sentence that was changed in its service would lose its translation without a trace."""
    files = [*FLOORS.glob("services/*.py"), *FLOORS.glob("domain/*.py"), *FLOORS.glob("web/*.py")]
    said = {s for path in files if path.name != "own_faults.py" for s in _sentences(path)}

    assert set(own_faults.SAID) - said == {own_withdrawal.PIN_FORM}


def stopping(pages: Pages, clinic: Clinic, family: Family, language: str) -> Visitor:
    visitor = holding(pages, make_link(clinic, family))
    visitor.opens(f"/own?language={language}")
    return visitor


def test_a_wrong_number_is_said_in_the_readers_language(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Whoever cannot read why it failed tries until nothing works any more."""
    clinic.stores_film(family)
    visitor = stopping(pages, clinic, family, "cy")
    _, sent = previewed(visitor, person=family.mother, scope="everything", speed="seven_days")

    bad = words(visitor.posts("/own/stop/confirm", **{**sent, "pin": "12"}))
    done = visitor.posts("/own/stop/confirm", **{**sent, "pin": "482615"})
    keep = f"{done.headers['Location']}/keep"
    wrong = words(visitor.sends(keep, pin="111111"))
    for _ in range(4):
        visitor.sends(keep, pin="111111")
    over = words(visitor.sends(keep, pin="482615"))

    assert "Dewiswch rif o chwe digid" in bad
    assert "Nid dyma’r rhif a ddewisoch" in wrong
    assert "Dim ond chi gyda’ch tywysydd" in over
    for shown in (bad, wrong, over):
        assert not re.search(r"digits|number that", shown)


def test_a_signature_left_out_is_said_in_the_readers_language(pages: Pages, clinic: Clinic) -> None:
    """The last step of many: an English sentence there undoes all that was translated before."""
    visitor = holding(pages, make_link(clinic, clinic.family(), LinkKind.CONSENT))
    visitor.opens("/own/consent?language=ar")
    visitor.sends("/own/consent")
    visitor.opens("/own/consent/words")

    place = "/own/consent/page/1"
    while "/page/" in place:
        shown = visitor.opens(place).get_data(as_text=True)
        place = str(visitor.posts(place, **answers_on(shown, no=False)).headers["Location"])
    unsigned = visitor.sends("/own/consent/sign", how="typed", typed_name="")

    assert unsigned.status_code == 400
    assert "اكتب اسمك الكامل." in words(unsigned)
    assert "full name of the person" not in words(unsigned)


def test_a_refusal_is_a_page_in_the_readers_language_with_a_way_out(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Pages for what is not there are read when people are lost already."""
    visitor = stopping(pages, clinic, family, "cy")

    lost = visitor.opens(f"/own/copy/{'f' * 32}.pdf")
    unsent = visitor.client.post("/own/stop", data={})

    assert lost.status_code == 404 and unsent.status_code == 400
    assert "Heb ddod o hyd i’r dudalen" in words(lost)
    assert "Mae’r dudalen hon yn rhy hen i’w hanfon" in words(unsent)
    for shown in (lost, unsent):
        assert '<html lang="cy"' in shown.get_data(as_text=True)
        assert "Gadael y dudalen hon" in words(shown)
        assert "Page not found" not in words(shown)


def test_who_signed_already_is_told_so_in_their_language(pages: Pages, clinic: Clinic) -> None:
    """Pressing twice is no fault; the page says that all is well."""
    visitor = holding(pages, make_link(clinic, clinic.family(), LinkKind.CONSENT))
    answer_all(visitor)

    again = visitor.opens("/own/consent/sign?language=cy")

    assert again.status_code == 409
    assert "Rydych wedi llofnodi eisoes." in words(again)


def test_a_sentence_that_nobody_translated_is_not_said(pages: Pages) -> None:
    """It may name an id or the code of a line; a general sentence names nothing."""
    with pages.app.test_request_context("/own"):
        assert own_faults.said("CARE.FILM needs the exact words.") == str(own_faults.GENERAL)
        assert own_faults.known("There is no involvement 0a1b.") == ""
