"""Fourth part of the story: a crash, a change of mind, a disagreement, a hold."""

from consent_service.cli.demonstration import cast
from consent_service.cli.demonstration.clinic import WORKER, small_film
from consent_service.cli.demonstration.doomed import WITHIN, kill_at
from consent_service.cli.demonstration.evidence import rows_of
from consent_service.cli.demonstration.promises import promise, refusal
from consent_service.cli.demonstration.scene import Evidence, Scene
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.erasure import OrderState, StepKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.services import assets, certificates, cutting, erasure, holds, withdrawal

PLACES = (
    StepKind.FREEZE_INVENTORY.value,
    f"{WITHIN}{StepKind.DELETE_CIPHERTEXT.value}",
    StepKind.READ_BACK.value,
)


def crashes(scene: Scene) -> Evidence:
    """The process is killed between steps and within one; a rerun ends the same, certified once."""
    clinic = scene.clinic
    family = clinic.ready_family(cast.ASPEN)
    film = clinic.films(family, small_film(), "Feeding")
    cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 1000, "A look"))
    clinic.passes(hours=1)
    request = clinic.withdrawal_of(family, family.father)
    planned = withdrawal.preview(clinic.ctx, clinic.guider, request)
    order = clinic.withdraws(request).erasure_order or ""
    for place in PLACES:
        clinic = scene.clinic
        clinic.close()
        kill_at(clinic.ctx.settings, order, place, clinic.clock.now())
        clinic.passes(seconds=90)
        scene.clinic = clinic.reopened()
        refusal(lambda: scene.clinic.watches(film.id), "gone")
    clinic = scene.clinic
    erasure.work(clinic.ctx, WORKER)
    done = erasure.order(clinic.ctx, clinic.officer, order)
    promise(done.state is OrderState.DONE, f"the order is {done.state}")
    issued = [c for c in certificates.certificates(clinic.ctx, clinic.officer) if c.order == order]
    promise(len(issued) == 1, f"{len(issued)} certificates were issued")
    gone = withdrawal.outcome(clinic.ctx, clinic.officer, done.withdrawal or "").destroyed
    promise(gone == planned.destroyed, "the end is not what was planned")
    left = [n for line in gone for n in clinic.ctx.blobs.list(line.asset)]
    promise(not left, f"objects are left: {left}")
    attempts = {s.kind.value: s.attempts for s in done.steps if s.attempts > 1}
    promise(bool(attempts), "no step had to be done again: the crash was not one")
    return {"killed_at": list(PLACES), "done_again": attempts, "certificates": len(issued)}


def seven_days(scene: Scene) -> Evidence:
    """Within seven days only she brings it back; after them nothing does."""
    clinic = scene.clinic
    family = clinic.ready_family(cast.HAZEL)
    film = clinic.films(family, small_film(), "Waking up")
    clinic.passes(hours=1)
    slowly = clinic.withdrawal_of(family, family.mother, speed=Speed.SEVEN_DAYS)
    first = clinic.withdraws(slowly)
    refusal(lambda: clinic.watches(film.id), "gone", "access_frozen")
    clinic.passes(days=3)
    erasure.work(clinic.ctx, WORKER)
    promise(any(clinic.ctx.blobs.list(film.id)), "the film went within the seven days")
    by_father = refusal(
        lambda: withdrawal.cancel(clinic.ctx, clinic.guider, first.id, family.father),
        "not_who_withdrew",
    )
    withdrawal.cancel(clinic.ctx, clinic.guider, first.id, family.mother)
    promise(len(clinic.watches(film.id)) == film.size, "the film is not back")
    clinic.passes(hours=1)
    again = clinic.withdrawal_of(family, family.mother, speed=Speed.SEVEN_DAYS)
    second = clinic.withdraws(again)
    clinic.passes(days=7, minutes=1)
    erasure.work(clinic.ctx, WORKER)
    late = refusal(
        lambda: withdrawal.cancel(clinic.ctx, clinic.guider, second.id, family.mother), "too_late"
    )
    view = assets.asset(clinic.ctx, clinic.guider, film.id)
    promise(view.state is AssetState.ERASED, f"the film is {view.state} after the window")
    return {"cancelled_by_another": by_father.code, "brought_back": True, "after": late.code}


def parents_disagree(scene: Scene) -> Evidence:
    """One parent withdraws for the baby: disputed, frozen, nothing erased, the IG officer told."""
    clinic = scene.clinic
    family = clinic.ready_family(cast.ALDER)
    film = clinic.films(family, small_film(), "Playing")
    clinic.passes(hours=1)
    done = clinic.withdraws(clinic.withdrawal_of(family, family.baby, family.mother))
    state = clinic.state(family.baby)
    promise(state is ConsentState.DISPUTED, f"the baby's care is {state}")
    promise(done.erasure_order is None, "an erasure was ordered")
    fault = refusal(lambda: clinic.watches(film.id), "access_frozen")
    erasure.work(clinic.ctx, WORKER)
    promise(any(clinic.ctx.blobs.list(film.id)), "the film was erased")
    notices = "SELECT to_role FROM notice WHERE kind = ?"
    told = {role for (role,) in rows_of(clinic.ctx.settings, notices, "dispute_opened")}
    promise(told == {"ig_officer"}, f"told: {told}")
    return {"care": state, "watching": fault.code, "erased": 0, "told": "ig_officer"}


def held(scene: Scene) -> Evidence:
    """A hold leaves the film restricted; two people release it, and then it goes."""
    clinic = scene.clinic
    family = clinic.ready_family(cast.WILLOW)
    film = clinic.films(family, small_film(), "Outside")
    wanted = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint was received.")
    hold = holds.place(clinic.ctx, clinic.officer, wanted)
    clinic.passes(hours=1)
    clinic.withdraws(clinic.withdrawal_of(family, family.mother))
    erasure.work(clinic.ctx, WORKER)
    view = assets.asset(clinic.ctx, clinic.guider, film.id)
    promise(view.state is AssetState.RESTRICTED, f"the film is {view.state} under a hold")
    promise(any(clinic.ctx.blobs.list(film.id)), "the film went in spite of the hold")
    fault = refusal(lambda: clinic.watches(film.id), "access_frozen", "gone")
    holds.ask_release(clinic.ctx, clinic.officer, hold.id, "The complaint is settled.")
    alone = refusal(
        lambda: holds.confirm_release(clinic.ctx, clinic.officer, hold.id), "second_person"
    )
    holds.confirm_release(clinic.ctx, clinic.deputy, hold.id)
    erasure.work(clinic.ctx, WORKER)
    after = assets.asset(clinic.ctx, clinic.guider, film.id)
    promise(after.state is AssetState.ERASED, f"the film is {after.state} after the release")
    return {
        "under_hold": view.state,
        "watching": fault.code,
        "alone": alone.code,
        "after": "erased",
    }


OTHER_FAMILIES = (
    ("Killed in the middle, rerun converges, one certificate", crashes),
    ("Seven days: brought back by her, then not", seven_days),
    ("Parents disagree: frozen, nothing erased", parents_disagree),
    ("Held film is restricted, released by two", held),
)
