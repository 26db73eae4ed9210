"""Withdrawing: choose, see what would happen, confirm, keep the receipt. As easy as agreeing.

Rules kept here:
  * what will happen is shown before it happens, and confirming is refused if it has changed since;
  * two ways to destroy: now, or in some days unless they change their mind;
  * the receipt says that care stays the same.
"""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import ConsentServiceError, InvalidInput, NotFound
from consent_service.services import assets, involvements, papers, withdrawal, withdrawal_outcome
from consent_service.services import consent as consents
from consent_service.services.involvements import InvolvementView
from consent_service.web.consents import pdf
from consent_service.web.fields import PageForm, choice, several, show, status, summary
from consent_service.web.here import caller, ctx
from consent_service.web.layout import long_date
from consent_service.web.one_form import form_page
from consent_service.web.words import said

withdrawals = Blueprint("withdrawals", __name__, url_prefix="/withdrawals")

ROUTES = (Route.IN_PERSON, Route.TELEPHONE, Route.LETTER, Route.PAPER)


class WithdrawForm(PageForm):
    """Who says stop, to what, and when film is to go."""

    by = choice("Who says so?", sentence="Choose who says so.")
    scope = choice(
        "What do they want to stop?",
        sentence="Choose what they want to stop.",
    )
    purposes = several("Which uses?")
    assets = several("Which films, clips or photos?")
    keep = several("Uses they want to keep all the same")
    speed = choice("When is film destroyed?")
    route = choice("How did they tell us?", [(r.value, said(r)) for r in ROUTES])


@withdrawals.route("/<id:involvement>/<id:person>", methods=["GET", "POST"])
def begin(involvement: str, person: str) -> ResponseReturnValue:
    """Ask who stops what; sending shows what would happen."""
    family = involvements.family(ctx(), caller(), involvement)
    name = _name(family, person)
    form = WithdrawForm()
    _offer(form, family, person)
    if form.sent:
        try:
            shown = withdrawal.preview(ctx(), caller(), _request(form, involvement, person))
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            return _preview(form, family, person, shown)
    page = render_template(
        "withdrawals/begin.html",
        form=form,
        show=show,
        summary=summary,
        family=family,
        person=person,
        person_name=name,
    )
    return page, status(form)


@withdrawals.get("/<id:involvement>/<id:person>/preview")
def preview(involvement: str, person: str) -> ResponseReturnValue:
    """Lead a reloaded or bookmarked preview back to its beginning."""
    return redirect(url_for("withdrawals.begin", involvement=involvement, person=person))


@withdrawals.post("/<id:involvement>/<id:person>/confirm")
def confirm(involvement: str, person: str) -> ResponseReturnValue:
    """Record the withdrawal, exactly as it was shown."""
    family = involvements.family(ctx(), caller(), involvement)
    form = WithdrawForm()
    _offer(form, family, person)
    if not form.validate():
        raise InvalidInput("This withdrawal is not whole. Begin again.", {})
    wanted = _request(form, involvement, person)
    seen = withdrawal.preview(ctx(), caller(), wanted)
    if seen.digest != request.form.get("digest"):
        flash("Something changed since you looked. Look again at what would happen.", "notice")
        return _preview(form, family, person, seen)
    done = withdrawal.withdraw(ctx(), caller(), wanted)
    flash("It is stopped. Nobody can watch it any more.", "success")
    return redirect(url_for("withdrawals.receipt", identifier=done.id))


@withdrawals.get("/act/<id:identifier>")
def receipt(identifier: str) -> str:
    """Show what was withdrawn, what became of it, and that care stays the same."""
    view, outcome = _withdrawal(identifier)
    family = involvements.family(ctx(), caller(), view.involvement)
    now = ctx().clock.now()
    return render_template(
        "withdrawals/receipt.html",
        view=view,
        outcome=outcome,
        names={p.id: p.full_name for _, p in family.people},
        purposes=ctx().policies.purposes,
        undoable=view.undo_until is not None
        and view.cancelled_at is None
        and now < view.undo_until,
    )


@withdrawals.get("/act/<id:identifier>/receipt.pdf")
def receipt_paper(identifier: str) -> ResponseReturnValue:
    """Return the receipt for the parent."""
    return pdf(papers.withdrawal_receipt(ctx(), caller(), identifier), f"receipt-{identifier}")


@withdrawals.route("/act/<id:identifier>/keep", methods=["GET", "POST"])
def keep_after_all(identifier: str) -> ResponseReturnValue:
    """Cancel a withdrawal within its days, when the person who withdrew says so here."""
    view, _ = _withdrawal(identifier)
    family = involvements.family(ctx(), caller(), view.involvement)
    name = _name(family, view.by)
    form = PageForm()
    if form.sent:
        try:
            withdrawal.cancel(ctx(), caller(), identifier, view.by)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash("The film stays after all, as it was agreed before.", "success")
            return redirect(url_for("withdrawals.receipt", identifier=identifier))
    words = (
        f"Only {name} can change this, and is here with you and says so. Everything is then as it"
        " was agreed before.",
    )
    return form_page(
        form,
        "Keep the film after all?",
        url_for("withdrawals.receipt", identifier=identifier),
        words=words,
        save="They are here and want to keep it",
    )


def _withdrawal(identifier: str) -> tuple[withdrawal_outcome.WithdrawalView, Any]:
    view = withdrawal.withdrawal(ctx(), caller(), identifier)
    return view, withdrawal_outcome.outcome(ctx(), caller(), identifier)


def _preview(
    form: WithdrawForm, family: InvolvementView, person: str, shown: withdrawal_outcome.PreviewView
) -> ResponseReturnValue:
    places = [family.id, *(other.involvement for other in shown.others if other.involvement)]
    kept = {view.id: view for place in places for view in assets.assets(ctx(), caller(), place)}
    return render_template(
        "withdrawals/preview.html",
        form=form,
        family=family,
        person=person,
        person_name=_name(family, person),
        shown=shown,
        kept=kept,
        purposes=ctx().policies.purposes,
        sent=[
            (name, value)
            for name, value in request.form.items(multi=True)
            if name not in ("csrf_token", "digest")
        ],
    )


def _offer(form: WithdrawForm, family: InvolvementView, person: str) -> None:
    deciders = {r.holder for r in family.responsibilities if r.child == person}
    entitled = [(p.id, p.full_name) for _, p in family.people if p.id in deciders]
    form.by.choices = entitled or [(person, _name(family, person))]
    now = ctx().clock.now()
    labels = ctx().policies.purposes
    answered = [
        view
        for view in consents.state(ctx(), caller(), person, now, now)
        if view.involvement == family.id and view.state is ConsentState.GIVEN
    ]
    by_name = {view.purpose.partition(":")[0] for view in answered if ":" in view.purpose}
    answered = [view for view in answered if view.purpose not in by_name]
    form.purposes.choices = [(v.purpose, _label(labels, v.purpose)) for v in answered]
    form.keep.choices = [pair for pair in form.purposes.choices if pair[0] != CARE]
    form.assets.choices = [
        (view.id, _thing(view))
        for view in assets.assets(ctx(), caller(), family.id)
        if view.state is not AssetState.ERASED and person in view.depicted
    ]
    form.scope.choices = _scopes(form)
    days = ctx().policies.organisation.undo_days
    form.speed.choices = [
        (Speed.NOW.value, "Now"),
        (Speed.SEVEN_DAYS.value, f"In {days} days, unless they change their mind"),
    ]
    if not form.is_submitted():
        form.by.data = form.by.choices[0][0]
        form.speed.data = Speed.NOW.value
        form.route.data = Route.IN_PERSON.value


def _scopes(form: WithdrawForm) -> list[tuple[str, str]]:
    """Return what can be stopped; some of nothing is not offered."""
    found = [(WithdrawalScope.EVERYTHING.value, "Everything: no film of this person is kept")]
    if form.purposes.choices:
        found.append((WithdrawalScope.PURPOSES.value, "Some uses only"))
    if form.assets.choices:
        found.append((WithdrawalScope.ASSETS.value, "Some films, clips or photos only"))
    return found


def _request(form: WithdrawForm, involvement: str, person: str) -> WithdrawalRequest:
    scope = WithdrawalScope(form.scope.data)
    return WithdrawalRequest(
        involvement=involvement,
        person=person,
        by=form.by.data,
        scope=scope,
        speed=Speed(form.speed.data),
        route=Route(form.route.data),
        moment=ctx().clock.now(),
        purposes=tuple(form.purposes.data or ()) if scope is WithdrawalScope.PURPOSES else (),
        assets=tuple(form.assets.data or ()) if scope is WithdrawalScope.ASSETS else (),
        keep_purposes=tuple(form.keep.data or ()) if scope is WithdrawalScope.EVERYTHING else (),
    )


def _thing(view: assets.AssetView) -> str:
    what = f"{said(view.kind)} of {long_date(view.filmed_on)}"
    return f"{what}: {view.title}" if view.title else what


def _label(labels: Any, purpose: str) -> str:
    base, _, use = purpose.partition(":")
    return f"{labels[base].label} ({use})" if use else str(labels[base].label)


def _name(family: InvolvementView, person: str) -> str:
    found = next((p.full_name for _, p in family.people if p.id == person), None)
    if found is None:
        raise NotFound("This person does not belong to the family.", kind="person")
    return found
