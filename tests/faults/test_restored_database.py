"""The database from before an end is put back: replay brings the end back before anybody is served.

Keys, film and journal stay as they are, which is what restoring a database backup does.
"""

from pathlib import Path

import pytest

from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.consent import Dispute
from consent_service.db.models.erasure import Certificate, Withdrawal
from consent_service.db.models.jobs import Notice
from consent_service.db.queries.erasure import OrderScope
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.erasure import OrderCause, OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Gone, NotSignedIn, Refused
from consent_service.services import (
    accounts,
    assets,
    audit,
    disputes,
    erasure,
    erasure_journal,
    holds,
    startup,
    tokens,
    withdrawal,
)
from tests.support.clinic import Clinic, Family
from tests.support.putting_back import care_state, database_backup, put_back, rows_of


def test_an_erasure_is_ordered_again_and_carried_out(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The film that a parent took back must not return with a backup; IG is told of the restore."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    done = clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "before")

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    with pytest.raises(Gone):
        clinic.watches(film)
    assert rows_of(clinic, Notice, Notice.kind == "restore_found") == 2
    erasure.work(clinic.ctx, "after")
    assert done.erasure_order is not None
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert (order.state, order.reference) == (OrderState.DONE, done.reference)
    assert rows_of(clinic, Certificate) == 1
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED
    audit.seal(clinic.ctx)
    assert audit.verify(clinic.ctx, clinic.ig).ok
    assert not startup.replay(clinic.ctx).found_restore


def test_a_withdrawal_in_its_seven_days_stays_locked_and_then_goes(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Seven days are for the parent to think, not for a restore to open the film again."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)

    put_back(clinic, backup)

    with pytest.raises(Gone):
        clinic.watches(film)
    erasure.work(clinic.ctx, "within")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.STORED
    view = withdrawal.withdrawal(clinic.ctx, clinic.ig, done.id)
    assert (view.undo_until, view.erasure_order) == (done.undo_until, done.erasure_order)
    clinic.passes(days=7)
    erasure.work(clinic.ctx, "later")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


@pytest.mark.parametrize("backed_up", ["before the withdrawal", "before it was cancelled"])
def test_a_cancelled_withdrawal_stays_cancelled(
    clinic: Clinic, family: Family, tmp_path: Path, backed_up: str
) -> None:
    """Who changed their mind in time must not lose the film to a restore."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    if backed_up == "before it was cancelled":
        backup = database_backup(clinic, tmp_path)
    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)

    report = put_back(clinic, backup)

    assert report.restored["undo"] == 1
    assert clinic.watches(film)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "later")
    assert clinic.watches(film)


def test_someone_who_takes_it_back_twice_can_still_change_their_mind_only_once(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The last of several acts is what counts, in the order in which they were journalled."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    first = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(days=1)
    withdrawal.cancel(clinic.ctx, clinic.guider, first.id, family.mother)
    clinic.passes(days=1)
    clinic.withdraws(family, family.mother)

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 2, "undo": 1}
    with pytest.raises(Gone):
        clinic.watches(film)
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


def test_parents_who_disagreed_still_disagree(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A withdrawal that froze film has no order, and must be remembered all the same."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    done = clinic.withdraws(family, family.baby, by=family.mother)
    assert done.erasure_order is None

    put_back(clinic, backup)

    assert care_state(clinic, family.baby) is ConsentState.DISPUTED
    with pytest.raises(Refused) as refused:
        clinic.watches(film)
    assert refused.value.code == "access_frozen"
    assert rows_of(clinic, Dispute, Dispute.resolved_at.is_(None)) == 1
    assert rows_of(clinic, Withdrawal) == 1


@pytest.mark.parametrize("give", [True, False])
def test_a_settled_dispute_stays_settled(
    clinic: Clinic, family: Family, tmp_path: Path, give: bool
) -> None:
    """The IG officer's decision outlives a restore, whichever way it went."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    clinic.withdraws(family, family.baby, by=family.mother)
    clinic.passes(hours=1)
    [open_one] = disputes.standing(clinic.ctx, clinic.ig, family.involvement)
    disputes.resolve(clinic.ctx, clinic.ig, open_one.id, give=give, reason="Heard both.")

    put_back(clinic, backup)
    erasure.work(clinic.ctx, "after")

    if give:
        assert clinic.watches(film)
    else:
        assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


def test_a_hold_stands_again_and_a_released_one_stays_released(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """What a court asked to be kept must not be destroyed because a backup knew nothing of it."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    place = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint came in.")
    kept = holds.place(clinic.ctx, clinic.ig, place)
    over = holds.place(clinic.ctx, clinic.ig, place)
    holds.ask_release(clinic.ctx, clinic.ig, over.id, "Answered.")
    holds.confirm_release(clinic.ctx, clinic.ig2, over.id)

    report = put_back(clinic, backup)

    assert report.restored == {"hold_placed": 2, "hold_released": 1}
    assert [hold.id for hold in holds.holds(clinic.ctx, clinic.ig)] == [kept.id]
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.RESTRICTED


def test_closed_accounts_and_revoked_tokens_stay_so(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Somebody who was shut out must not come back in with a backup."""
    details = accounts.UserDetails("leaver@clinic.example", "Lee Invented", ("guider",))
    user, _ = accounts.create_user(clinic.ctx, clinic.admin, details)
    token, secret = tokens.create_token(clinic.ctx, clinic.admin, user, ["guider"], 30)
    backup = database_backup(clinic, tmp_path)
    tokens.revoke_token(clinic.ctx, clinic.admin, token)
    accounts.disable_user(clinic.ctx, clinic.admin, user)

    report = put_back(clinic, backup)

    assert report.restored == {"access_revoked": 2}
    with clinic.ctx.read() as session:
        assert not session.get_one(UserAccount, user).active
        assert session.get_one(ApiToken, token).revoked_at is not None
    with pytest.raises(NotSignedIn):
        tokens.caller_of_token(clinic.ctx, secret)


def test_what_retention_destroyed_is_destroyed_again(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A kept promise about how long film is kept is not undone by a backup."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    wanted = erasure.OrderErasure(
        family.involvement,
        OrderCause.RETENTION,
        OrderScope(assets=(film,), cascades=False),
        clinic.clock.now(),
        rule="R01",
    )
    with clinic.ctx.begin() as uow:
        erasure.order_erasure(uow, clinic.ig.actor, wanted)
    erasure.work(clinic.ctx, "before")

    put_back(clinic, backup)

    with pytest.raises(Gone):
        clinic.watches(film)
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED
    assert care_state(clinic, family.mother) is ConsentState.GIVEN


def test_ends_of_a_family_that_the_backup_does_not_know_are_counted_and_forbid_nothing(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The service must come up again, and say what it could not place."""
    backup = database_backup(clinic, tmp_path)
    newer = clinic.family()
    clinic.both_consent(newer)
    film = clinic.stores_film(newer).id
    place = holds.PlaceHold(newer.involvement, HoldKind.INQUIRY, "Asked for.", asset=film)
    holds.place(clinic.ctx, clinic.ig, place)
    clinic.passes(hours=1)
    clinic.withdraws(newer, newer.mother)

    report = put_back(clinic, backup)

    assert report.restored == {"unknown_here": 2}
    assert rows_of(clinic, Notice, Notice.kind == "restore_found") == 2


def test_a_hold_on_film_that_the_backup_does_not_know_holds_all_of_the_family(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Keeping too much for a while can be put right; destroying what was held cannot."""
    older = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    newer = clinic.stores_film(family).id
    place = holds.PlaceHold(family.involvement, HoldKind.INQUIRY, "Asked for.", asset=newer)
    holds.place(clinic.ctx, clinic.ig, place)

    put_back(clinic, backup)

    [hold] = holds.holds(clinic.ctx, clinic.ig)
    assert hold.asset is None
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, older).state is AssetState.RESTRICTED


def test_a_line_written_twice_changes_nothing(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A crash between journal and database writes the line again; one order must come of it."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    done = clinic.withdraws(family, family.mother)
    assert done.erasure_order is not None
    [line] = [n for n in clinic.ctx.journal.lines() if n.kind.value == "consent-ended"]
    clinic.ctx.journal.append(line.kind, line.body, clinic.clock.now())

    report = put_back(clinic, backup)
    erasure.work(clinic.ctx, "after")

    assert report.restored == {"consent_ended": 1}
    assert rows_of(clinic, Certificate) == 1
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


def test_a_withdrawal_whose_line_was_never_written_is_journalled_by_the_next_worker(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Between commit and journal lies a moment; what is killed in it must not be forgotten."""
    done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    other = clinic.withdraws(family, family.baby, by=family.father)
    assert done.erasure_order is not None
    assert other.erasure_order is None

    assert erasure_journal.write_missing_lines(clinic.ctx) == 0
    kinds = [line.kind.value for line in clinic.ctx.journal.lines()]
    assert kinds.count("consent-ended") == 2
