"""Rotation makes what went irrecoverable; reconciliation finds what does not fit together."""

from datetime import timedelta

from consent_service.domain.audit import EventKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.services import certificates, comparisons, erasure, key_rotation, withdrawal
from consent_service.services.access import job_caller
from consent_service.services.reconcile import Fault, Report, reconcile
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring import KeyKind, KeyStatus
from tests.support.clinic import Clinic
from tests.support.kept_film import asset_row, keep_film

JOB = job_caller("reconcile")


def _erased(clinic: Clinic) -> tuple[str, str]:
    """Keep a film and let the mother withdraw everything; returns order and film."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
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
    erasure.work(clinic.ctx, "test")
    return done.erasure_order, film


def _faults(report: Report) -> list[tuple[Fault, str, bool]]:
    return [(f.fault, f.subject, f.repaired) for f in report.findings]


def test_a_rotation_is_journalled_and_certified(clinic: Clinic) -> None:
    """Only after it is *irrecoverable since* known, and the certificate's next revision says so."""
    order, _ = _erased(clinic)
    clinic.passes(hours=1)

    done = key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))

    assert not done.report.idle
    kinds = [line.kind for line in clinic.ctx.journal.lines()]
    assert LineKind.MASTER_DESTROYED in kinds
    second = key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))
    assert second.report.idle
    assert done.supplemented == (order,)
    view = certificates.certificate(clinic.ctx, clinic.ig, order)
    assert view.revision == 2
    assert certificates.verify_bundle(view.bundle(), clinic.ctx.signers.published).ok


def test_a_rotation_whose_process_died_before_it_said_so_is_written_down_by_the_next(
    clinic: Clinic,
) -> None:
    """Nothing happens to keys that journal and audit log do not tell of, and once."""
    order, _ = _erased(clinic)
    clinic.passes(hours=1)
    report = clinic.ctx.keyring.rotate(clinic.clock.now())
    assert not report.idle

    done = key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))
    again = key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))

    assert done.report.idle
    assert again.report.idle
    assert done.supplemented == (order,)
    lines = [line for line in clinic.ctx.journal.lines() if line.kind is LineKind.MASTER_DESTROYED]
    assert {line.body["zone"] for line in lines} == {"live", "escrow"}
    assert len(lines) == 2
    [written] = clinic.written_down(EventKind.KEYS_ROTATED)
    assert written.event.details["version"] == report.live_master


def test_a_clinic_in_order_has_nothing_to_report(clinic: Clinic) -> None:
    """What is kept and what is gone both fit: no false alarm."""
    _erased(clinic)
    family = clinic.family()
    clinic.both_consent(family)
    keep_film(clinic, family)
    clinic.passes(days=2)

    assert _faults(reconcile(clinic.ctx, JOB)) == []


def test_what_was_erased_and_came_back_goes_again(clinic: Clinic) -> None:
    """A restored folder brings ciphertext back; the ledger says that it must not be there."""
    _, film = _erased(clinic)
    with clinic.ctx.blobs.put(f"{film}.1") as sink:
        sink.write(b"back from a backup")

    looked = reconcile(clinic.ctx, JOB, repair=False)
    assert _faults(looked) == [(Fault.OBJECT_OF_ERASED, f"{film}.1", False)]
    mended = reconcile(clinic.ctx, JOB)

    assert _faults(mended) == [(Fault.OBJECT_OF_ERASED, f"{film}.1", True)]
    assert list(clinic.ctx.blobs.list(film)) == []


def test_film_that_is_missing_is_reported_and_never_papered_over(clinic: Clinic) -> None:
    """A lost object or key is for people to look into."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    clinic.ctx.blobs.delete(f"{film}.1")
    key = asset_row(clinic, film).asset_key_id
    clinic.ctx.keyring.destroy([key], "0" * 32, clinic.clock.now())

    found = _faults(reconcile(clinic.ctx, JOB))

    assert (Fault.OBJECT_MISSING, film, False) in found
    assert (Fault.KEY_MISSING, film, False) in found


def test_an_object_that_no_row_knows_goes_only_a_day_after_it_was_reported(
    clinic: Clinic,
) -> None:
    """It may belong to rows that a restored database has lost: somebody gets a day to say so."""
    stray = f"{'ab' * 16}.1"
    with clinic.ctx.blobs.put(stray) as sink:
        sink.write(b"whose is it")

    assert _faults(reconcile(clinic.ctx, JOB)) == [(Fault.UNKNOWN_OBJECT, stray, False)]
    clinic.passes(hours=23)
    assert _faults(reconcile(clinic.ctx, JOB)) == [(Fault.UNKNOWN_OBJECT, stray, False)]
    clinic.clock.advance(timedelta(hours=1))
    assert _faults(reconcile(clinic.ctx, JOB)) == [(Fault.UNKNOWN_OBJECT, stray, True)]
    assert list(clinic.ctx.blobs.list(stray)) == []


def test_a_key_that_no_row_knows_goes_only_a_day_after_it_was_reported(clinic: Clinic) -> None:
    """A restored database has lost a yes: no later stop could ever find its key."""
    stray = "cd" * 16
    clinic.ctx.keyring.create(stray, KeyKind.CONSENT, 0, clinic.clock.now())

    assert _faults(reconcile(clinic.ctx, JOB)) == [(Fault.UNKNOWN_KEY, stray, False)]
    told = comparisons.newest(clinic.ctx, clinic.admin)
    assert told is not None
    assert (told.faults, told.open) == ({Fault.UNKNOWN_KEY: 1}, ((Fault.UNKNOWN_KEY, stray),))
    clinic.passes(days=1)
    assert _faults(reconcile(clinic.ctx, JOB)) == [(Fault.UNKNOWN_KEY, stray, True)]

    assert clinic.ctx.keyring.status([stray]) == {stray: KeyStatus.DESTROYED}
    lines = [line for line in clinic.ctx.journal.lines() if line.kind is LineKind.KEY_DESTROYED]
    assert lines[-1].body["keys"] == [stray]
    assert _faults(reconcile(clinic.ctx, JOB)) == []
    assert comparisons.newest(clinic.ctx, clinic.ig) is not None
