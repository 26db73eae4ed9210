"""The parent's page: papers to fetch, and stopping one film, as a browser sees it."""

import re

from consent_service.domain.withdrawal import Speed
from consent_service.services import erasure
from tests.services.test_own_papers import hands_over
from tests.support.clinic import Clinic, Family
from tests.support.own_links import FATHER, PIN, holding, make_link
from tests.support.pages import Pages, Visitor, words


def previewed(visitor: Visitor, **fields: str) -> tuple[str, dict[str, str]]:
    """Ask what stopping would do; returns the page's words and what confirming sends."""
    shown = visitor.sends("/own/stop", **fields)
    assert shown.status_code == 200, words(shown)
    hidden = re.findall(
        r'type="hidden" name="([^"]+)" value="([^"]*)"', shown.get_data(as_text=True)
    )
    return words(shown), dict(hidden)


def test_a_parent_stops_one_film_and_the_next_one_stays(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """What is shown before, after and on the receipt is of this film, and of nothing else."""
    first = clinic.stores_film(family)
    clinic.passes(minutes=1)
    clinic.stores_film(family)
    visitor = holding(pages, make_link(clinic, family))
    form = words(visitor.opens("/own/stop"))

    shown, sent = previewed(
        visitor, person=family.baby, scope="assets", assets=first.id, speed="seven_days"
    )
    done = visitor.posts("/own/stop/confirm", **{**sent, "pin": PIN})
    stopped = words(visitor.follows(done))

    assert "Film of 2 November 2026, number 2" in form and "Bath time" not in form
    assert "You chose: Film of 2 November 2026, number 1" in shown
    assert "1 film" in shown and "For Mina" not in shown and "These uses end" not in shown
    assert "It is stopped" in stopped and "1 film" in stopped
    receipt = visitor.opens(f"{done.headers['Location']}/receipt.pdf")
    assert receipt.data.startswith(b"%PDF")
    again = words(visitor.opens("/own/stop"))
    assert "Film of 2 November 2026" in again and "number" not in again
    kept = visitor.sends(f"{done.headers['Location']}/keep", pin=PIN)
    assert "You kept it after all" in words(visitor.follows(kept))
    assert "Film of 2 November 2026, number 2" in words(visitor.opens("/own/stop"))


def test_a_film_that_is_not_offered_is_not_stopped_by_sending_its_id(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Ids can be found out; what a page does not offer it does not do either."""
    theirs = clinic.stores_film(family, depicted=(family.father, family.baby))
    clinic.stores_film(family)
    visitor = holding(pages, make_link(clinic, family))

    sent = visitor.sends(
        "/own/stop", person=family.mother, scope="assets", assets=theirs.id, speed="now"
    )

    assert sent.status_code == 400


def test_the_certificate_is_found_where_it_was_stopped_and_among_the_papers(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Whoever asked for film to go wants to read that it went."""
    clinic.stores_film(family)
    visitor = holding(pages, make_link(clinic, family))
    _, sent = previewed(visitor, person=family.mother, scope="everything", speed=Speed.NOW.value)
    done = visitor.posts("/own/stop/confirm", **sent)
    before = words(visitor.follows(done))
    clinic.passes(hours=30)
    erasure.work(clinic.ctx, "test")

    visitor = holding(pages, make_link(clinic, family))
    after = visitor.opens(done.headers["Location"]).get_data(as_text=True)
    link = re.search(r"/own/certificate/[0-9a-f]{32}\.pdf", after)

    assert "Then a certificate says what was destroyed" in before
    assert link is not None
    assert link[0] in visitor.opens("/own").get_data(as_text=True)
    fetched = visitor.opens(link[0])
    assert fetched.data.startswith(b"%PDF")
    assert 'filename="paper.pdf"' in fetched.headers["Content-Disposition"]
    father = holding(pages, make_link(clinic, family, person=family.father), FATHER)
    assert father.opens(link[0]).status_code == 404
    assert "certificate" not in words(father.opens("/own")).lower()


def test_the_receipt_of_photos_is_among_ones_papers(pages: Pages, clinic: Clinic) -> None:
    """Paper gets lost between bottles and nappies; the page has it again."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PHOTO.KEEP"}))
    given = hands_over(clinic, family, family.mother)
    mother = holding(pages, make_link(clinic, family))
    father = holding(pages, make_link(clinic, family, person=family.father), FATHER)

    assert "Photos that you were given" in words(mother.opens("/own"))
    fetched = mother.opens(f"/own/photos/{given}.pdf")
    assert fetched.data.startswith(b"%PDF")
    assert 'filename="receipt.pdf"' in fetched.headers["Content-Disposition"]
    assert "Photos that you were given" not in words(father.opens("/own"))
    assert father.opens(f"/own/photos/{given}.pdf").status_code == 404
