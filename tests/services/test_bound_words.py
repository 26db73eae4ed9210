"""Words shown are words recorded; a late yes moves the epoch; what is gone names its order."""

from datetime import timedelta

import pytest

from consent_service.db.models.people import Involvement
from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.leaflets import LeafletRoute
from consent_service.domain.withdrawal import Route, WithdrawalScope
from consent_service.errors import Gone
from consent_service.services import consent, erasure, leaflets
from consent_service.services.leaflet_import import import_leaflet
from tests.support.clinic import Clinic, Family


def _epoch(clinic: Clinic, involvement: str) -> int:
    with clinic.ctx.read() as session:
        return session.get_one(Involvement, involvement).consent_epoch


def test_another_leaflet_given_later_does_not_change_the_words_of_a_form(clinic: Clinic) -> None:
    """What a parent reads is what is recorded, whatever else they were handed that day."""
    family = clinic.family()
    ask = consent.AskForm(family.involvement, family.mother, "vig", "en")
    before = consent.questions(clinic.ctx, clinic.guider, ask)
    archive = clinic.today + timedelta(days=365)
    line = f"T2042, V1, {clinic.today:%d/%m/%Y} (Archive: {archive:%d/%m/%Y})"
    import_leaflet(clinic.ctx, clinic.ig, f"Baby swimming\n\nWarm water.\n\n{line}\n".encode())
    clinic.passes(minutes=1)
    other = leaflets.GiveLeaflet(
        family.involvement, family.mother, "T2042", clinic.today, LeafletRoute.PAPER, "en"
    )
    leaflets.give_leaflet(clinic.ctx, clinic.guider, other)

    asked = consent.questions(clinic.ctx, clinic.guider, ask)
    act = clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    assert asked.digest == before.digest == act.rendered_sha256


def test_a_late_yes_moves_the_consent_epoch_when_it_begins_to_count(clinic: Clinic) -> None:
    """A later yes can name fewer uses than the one before: streams for the others must end."""
    family = clinic.family()
    act = consent.capture(
        clinic.ctx,
        clinic.guider,
        consent.CaptureConsent(
            involvement=family.involvement,
            person=family.mother,
            form="vig",
            language="en",
            leaflet_issue=family.issues[family.mother],
            route=Route.PAPER,
            capacity=Capacity.NO_DOUBT,
            answers=clinic.answers(family, family.mother),
            signature=consent.Signature(SignatureKind.PAPER, {"place": "file 7"}),
            event_at=clinic.clock.now(),
        ),
    )
    clinic.attaches_scan(act.id)
    before = _epoch(clinic, family.involvement)

    consent.check_late(clinic.ctx, clinic.ig, act.id)

    assert _epoch(clinic, family.involvement) == before + 1


def test_who_asks_for_erased_film_is_told_the_order_that_erased_it(clinic: Clinic) -> None:
    """The reference leads to the certificate: a later order's would prove the wrong thing."""
    family: Family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"SUP.SUPERVISOR"}))
    film = clinic.stores_film(family)
    gone = clinic.withdraws(family, family.mother, scope=WithdrawalScope.ASSETS, assets=(film.id,))
    erasure.work(clinic.ctx, "test")
    clinic.passes(minutes=1)
    clinic.withdraws(
        family, family.father, scope=WithdrawalScope.PURPOSES, purposes=("supervision",)
    )

    with pytest.raises(Gone) as refused:
        clinic.watches(film.id)

    assert refused.value.details["order"] == gone.reference
