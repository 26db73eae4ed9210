"""Kill the worker at every boundary of the cascade: the same end, one certificate.

A power cut is raised in the middle of the real work, where no handler of ours catches it; what it
held stays leased until its time runs out, as after `kill -9`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from consent_service.db.models.erasure import Certificate, ErasureItem
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.erasure import STEP_ORDER, OrderState, StepKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.services import certificates, erasure, erasure_steps, withdrawal
from consent_service.services.context import Context
from tests.support.clinic import Clinic
from tests.support.kept_film import Kept, asset_row, keep_film


class PowerCut(BaseException):
    """The machine stopped here."""


@dataclass
class Cuts:
    """Cuts the power at one boundary: before a step acts, or after it acted and before it is noted."""

    at: tuple[StepKind, str] | None = None
    seen: list[tuple[StepKind, str]] = field(default_factory=list)

    def around(
        self, kind: StepKind, act: Callable[[Context, str], dict[str, int]]
    ) -> Callable[[Context, str], dict[str, int]]:
        def acted(ctx: Context, order: str) -> dict[str, int]:
            self._cut((kind, "before"))
            figures = act(ctx, order)
            self._cut((kind, "after"))
            return figures

        return acted

    def _cut(self, place: tuple[StepKind, str]) -> None:
        if self.at == place:
            self.at = None
            self.seen.append(place)
            raise PowerCut


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuts]:
    """Power cuts at will around every step."""
    found = Cuts()
    acts = {kind: found.around(kind, act) for kind, act in erasure_steps.ACTS.items()}
    monkeypatch.setattr(erasure_steps, "ACTS", acts)
    yield found


def _withdrawn(clinic: Clinic) -> tuple[str, list[str]]:
    """Let a mother withdraw everything; returns the order and the film it is about."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    clip = keep_film(clinic, family, Kept(AssetKind.CLIP, source=film))
    clinic.passes(hours=1)
    done = withdrawal.withdraw(
        clinic.ctx,
        clinic.guider,
        WithdrawalRequest(
            involvement=family.involvement,
            person=family.mother,
            by=family.mother,
            scope=WithdrawalScope.EVERYTHING,
            speed=Speed.NOW,
            route=Route.IN_PERSON,
            moment=clinic.clock.now(),
        ),
    )
    assert done.erasure_order is not None
    return done.erasure_order, [film, clip]


def _boundaries(clinic: Clinic, order: str) -> list[tuple[StepKind, str]]:
    """Return every boundary that is still to come; what the withdrawal did itself is past."""
    steps = erasure.order(clinic.ctx, clinic.ig, order).steps
    left = {step.kind for step in steps if step.state != "done"}
    return [(kind, side) for kind in STEP_ORDER if kind in left for side in ("before", "after")]


def test_killed_at_every_boundary_an_order_comes_to_the_same_end(
    clinic: Clinic, cuts: Cuts
) -> None:
    """Crashes may delay the promise; they may not break it, nor prove it twice."""
    order, films = _withdrawn(clinic)
    boundaries = _boundaries(clinic, order)
    assert len(boundaries) >= 2 * (len(STEP_ORDER) - 1)

    for number, boundary in enumerate(boundaries):
        cuts.at = boundary
        with pytest.raises(PowerCut):
            erasure.work(clinic.ctx, f"worker-{number}")
        clinic.passes(minutes=2)
    erasure.work(clinic.ctx, "last")

    assert cuts.seen == boundaries
    view = erasure.order(clinic.ctx, clinic.ig, order)
    assert view.state is OrderState.DONE, [(s.kind, s.state, s.fault) for s in view.steps]
    for film in films:
        assert asset_row(clinic, film).state is AssetState.ERASED
        assert list(clinic.ctx.blobs.list(film)) == []
    with clinic.ctx.read() as session:
        issued = session.scalar(
            select(func.count()).select_from(Certificate).where(Certificate.order_id == order)
        )
        items = session.scalars(
            select(ErasureItem.asset_id).where(ErasureItem.order_id == order)
        ).all()
    assert issued == 1
    assert sorted(items) == sorted(films)
    proof = certificates.certificate(clinic.ctx, clinic.ig, order).bundle()
    assert certificates.verify_bundle(proof, clinic.ctx.signers.published).ok


def test_a_lone_worker_takes_up_at_once_what_a_dead_one_held(clinic: Clinic, cuts: Cuts) -> None:
    """On one machine nobody else can hold a lease: the next start need not wait for it."""
    order, _ = _withdrawn(clinic)
    cuts.at = (StepKind.DELETE_CIPHERTEXT, "after")
    with pytest.raises(PowerCut):
        erasure.work(clinic.ctx, "dead")
    erasure.work(clinic.ctx, "waiting")
    assert erasure.order(clinic.ctx, clinic.ig, order).state is OrderState.RUNNING

    erasure.void_leases(clinic.ctx)
    erasure.work(clinic.ctx, "next")

    assert erasure.order(clinic.ctx, clinic.ig, order).state is OrderState.DONE
