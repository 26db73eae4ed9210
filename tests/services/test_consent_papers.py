"""The paper of a consent: its scan is kept encrypted, and half-given answers never count."""

import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from consent_service.db.models.people import Person
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Capacity, ConsentState, SignatureKind
from consent_service.domain.consent_ends import InvalidBecause
from consent_service.domain.withdrawal import Route
from consent_service.errors import Conflict, NotFound, Unavailable
from consent_service.services import (
    consent,
    consent_papers,
    drafts,
    held_about,
    invalidation,
    overview,
    papers,
    retention,
)
from consent_service.services.access import job_caller
from consent_service.services.reconcile import Fault, reconcile
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring_values import KeyStatus
from tests.support.clinic import Clinic, Family, sample_scan


def _on_paper(clinic: Clinic, family: Family, route: Route = Route.PAPER, **other: Any) -> str:
    said: dict[str, Any] = {
        "involvement": family.involvement,
        "person": family.mother,
        "form": "vig",
        "language": "en",
        "leaflet_issue": family.issues[family.mother],
        "route": route,
        "capacity": Capacity.NO_DOUBT,
        "answers": clinic.answers(family, family.mother),
        "signature": consent.Signature(SignatureKind.TYPED, {"name": "Rosa Invented"}),
        "event_at": clinic.clock.now(),
    }
    request = consent.CaptureConsent(**{**said, **other})
    return consent.capture(clinic.ctx, clinic.guider, request).id


def _keys_of_papers(clinic: Clinic) -> list[str]:
    return [e.key_id for e in clinic.ctx.keyring.list_keys() if e.key_id.startswith("paper:")]


def test_a_scan_is_kept_as_cipher_text_that_only_its_key_opens(clinic: Clinic) -> None:
    """It shows a name, a hand and a decision: a stolen database must not."""
    act = _on_paper(clinic, clinic.family())

    kept = consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan()])

    shown = consent_papers.scan(clinic.ctx, clinic.ig, act)
    assert shown.content.startswith(b"\xff\xd8")
    assert len(shown.content) == kept.size
    with clinic.ctx.read() as session:
        (stored,) = session.execute(text("SELECT sealed FROM consent_paper")).scalars()
    assert shown.content[:64] not in bytes(stored)
    assert len(clinic.written_down(EventKind.CONSENT_PAPER_KEPT)) == 1


def test_a_wrong_scan_can_be_changed_until_somebody_has_checked_it(clinic: Clinic) -> None:
    """Another family's paper must go for good; what was compared must stay what it was."""
    act = _on_paper(clinic, clinic.family())
    consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan()])
    (first,) = _keys_of_papers(clinic)

    consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan("black")])

    assert clinic.ctx.keyring.status([first])[first] is KeyStatus.DESTROYED
    gone = [ln for ln in clinic.ctx.journal.lines() if ln.kind is LineKind.KEY_DESTROYED]
    assert [line.body["keys"] for line in gone] == [[first]]
    with Image.open(io.BytesIO(consent_papers.scan(clinic.ctx, clinic.ig, act).content)) as shown:
        assert shown.getpixel((9, 9)) == (0, 0, 0)
    consent.check_late(clinic.ctx, clinic.ig, act)
    with pytest.raises(Conflict) as refused:
        consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan()])
    assert refused.value.code == "already_checked"


def test_paper_without_its_scan_is_not_checked(clinic: Clinic) -> None:
    """Who has nothing to compare with can only say yes to what somebody typed."""
    family = clinic.family()
    act = _on_paper(clinic, family)
    assert [one.scan_missing for one in overview.late_consents(clinic.ctx, clinic.ig)] == [True]

    with pytest.raises(Conflict) as refused:
        consent.check_late(clinic.ctx, clinic.ig, act)

    assert refused.value.code == "scan_missing"
    assert "Attach the scan" in refused.value.message
    assert clinic.written_down(EventKind.CONSENT_CHECKED) == []
    now = clinic.clock.now()
    states = consent.state(clinic.ctx, clinic.guider, family.mother, now, now)
    assert {s.state for s in states if s.purpose == "care"} == {ConsentState.NOT_ASKED}
    clinic.attaches_scan(act)
    assert [one.scan_missing for one in overview.late_consents(clinic.ctx, clinic.ig)] == [False]
    assert consent.check_late(clinic.ctx, clinic.ig, act).checked_at == now


def test_who_could_not_decide_signed_no_paper_that_could_be_scanned(clinic: Clinic) -> None:
    """Nothing was answered: the list of papers must not hold it for ever."""
    family = clinic.family()
    tomorrow = clinic.today + timedelta(days=1)
    act = _on_paper(clinic, family, capacity=Capacity.LACKS_NOW, answers=(), ask_again_on=tomorrow)

    assert consent.check_late(clinic.ctx, clinic.ig, act).checked_at is not None


def test_whoever_reads_a_scan_or_a_copy_is_written_down(clinic: Clinic) -> None:
    """They show a name, a hand and every answer: who has seen them must be known later."""
    act = _on_paper(clinic, clinic.family())
    clinic.attaches_scan(act)

    consent_papers.paper(clinic.ctx, clinic.ig, act)
    assert clinic.written_down(EventKind.CONSENT_PAPER_VIEWED) == []
    consent_papers.scan(clinic.ctx, clinic.ig, act)
    copy = papers.consent_copy(clinic.ctx, clinic.guider, act)

    (seen,) = clinic.written_down(EventKind.CONSENT_PAPER_VIEWED)
    assert (seen.event.subject, seen.event.actor) == (act, clinic.ig.actor)
    (made,) = clinic.written_down(EventKind.CONSENT_COPY_MADE)
    assert (made.event.subject, made.event.actor) == (act, clinic.guider.actor)
    assert made.event.details == {"digest": hashlib.sha256(copy).hexdigest()}


def test_a_scan_that_cannot_be_opened_was_not_seen(clinic: Clinic) -> None:
    """The log says who saw it, not who asked."""
    act = _on_paper(clinic, clinic.family())
    clinic.attaches_scan(act)
    (key,) = _keys_of_papers(clinic)
    clinic.ctx.keyring.seal([key], clinic.clock.now())

    with pytest.raises(Unavailable):
        consent_papers.scan(clinic.ctx, clinic.ig, act)

    assert clinic.written_down(EventKind.CONSENT_PAPER_VIEWED) == []


def test_the_comparison_leaves_the_key_of_a_scan_alone(clinic: Clinic) -> None:
    """No film or answer stands for it: taken for a stray, it would go and the paper with it."""
    act = _on_paper(clinic, clinic.family())
    kept = consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan()])
    job = job_caller("reconcile")

    for _ in range(2):
        assert Fault.UNKNOWN_KEY not in {f.fault for f in reconcile(clinic.ctx, job).findings}
        clinic.clock.advance(timedelta(days=1, hours=1))

    assert len(consent_papers.scan(clinic.ctx, clinic.ig, act).content) == kept.size


def test_a_scan_belongs_to_paper_and_to_those_who_may_see_the_act(clinic: Clinic) -> None:
    """For another team it does not exist, and what was signed on a screen has no paper."""
    family = clinic.family()
    act = _on_paper(clinic, family)
    elsewhere = replace(clinic.guider, teams=frozenset({"0" * 32}))

    assert consent_papers.paper(clinic.ctx, clinic.guider, act) is None
    for ask in (consent_papers.scan, consent_papers.paper):
        with pytest.raises(NotFound):
            ask(clinic.ctx, elsewhere, act)
    with pytest.raises(NotFound):
        consent_papers.scan(clinic.ctx, clinic.guider, act)
    signed = _on_paper(clinic, clinic.family(), Route.IN_PERSON)
    with pytest.raises(Conflict) as refused:
        consent_papers.attach(clinic.ctx, clinic.guider, signed, [sample_scan()])
    assert refused.value.code == "not_on_paper"


def test_half_given_answers_permit_nothing_and_go_after_thirty_days(clinic: Clinic) -> None:
    """Every line says yes, and still nobody may film: nothing was read back or signed."""
    family = clinic.family()
    answers = {
        f"{given.statement}|{given.about}": {"answer": "yes", "named": "", "words": ""}
        for given in clinic.answers(family, family.mother)
    }
    body = {"involvement": family.involvement, "person": family.mother, "answers": answers}
    begun = drafts.begin(clinic.ctx, clinic.guider, family.involvement, body)

    now = clinic.clock.now()
    states = consent.state(clinic.ctx, clinic.guider, family.mother, now, now)
    assert {s.state for s in states if s.purpose == "care"} == {ConsentState.NOT_ASKED}
    (mine,) = drafts.mine(clinic.ctx, clinic.guider, family.involvement)
    assert mine.kept_until is not None
    assert (mine.id, (mine.kept_until - clinic.today).days) == (begun, 30)
    assert drafts.mine(clinic.ctx, clinic.ig, family.involvement) == []

    for officer in (clinic.ig, clinic.ig2):
        retention.approve_appraisal(clinic.ctx, officer, "unfinished-work")
    clinic.passes(days=29)
    retention.run(clinic.ctx, job_caller("retention"))
    assert drafts.mine(clinic.ctx, clinic.guider, family.involvement)
    clinic.passes(days=1)
    retention.run(clinic.ctx, job_caller("retention"))
    assert drafts.mine(clinic.ctx, clinic.guider, family.involvement) == []


def test_a_paper_found_never_valid_waits_for_nobody(clinic: Clinic) -> None:
    """A list that never empties is a list that nobody reads."""
    act = _on_paper(clinic, clinic.family())
    assert [one.act for one in overview.late_consents(clinic.ctx, clinic.guider)] == [act]

    invalidation.invalidate(
        clinic.ctx, clinic.ig, act, InvalidBecause.WRONG_WORDS, "Typed off the wrong paper."
    )

    assert overview.late_consents(clinic.ctx, clinic.guider) == []


def test_who_asks_what_is_held_about_them_hears_of_thesample_scan(clinic: Clinic) -> None:
    """A picture of their signature is theirs to know of."""
    family = clinic.family()
    act = _on_paper(clinic, family)
    consent_papers.attach(clinic.ctx, clinic.guider, act, [sample_scan()])

    with clinic.ctx.read() as session:
        person = session.get_one(Person, family.mother)
        held = held_about.everything(clinic.ctx, session, person, clinic.clock.now())

    told = [r for records in held.topics.values() for r in records if r.get("act") == act]
    assert [r.get("scan_of_the_paper") for r in told] == ["kept"]
