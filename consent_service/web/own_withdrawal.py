"""Stopping by one's own link: choose, see what would happen, confirm, keep the receipt.

Rules kept here:
  * what will happen is shown before it happens, and confirming is refused if it has changed since;
  * nothing on these pages tells of a hold, of a dispute, or of what another parent said;
  * only a number that the same person chose takes it back by link.
"""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import PasswordField
from wtforms.validators import Length, Optional

from consent_service.domain.assets import AssetKind
from consent_service.domain.links import PIN_DIGITS, LinkKind
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import Conflict, InvalidInput, Refused
from consent_service.services import (
    own_films,
    own_page,
    own_papers,
    own_withdrawal,
    papers,
    withdrawal,
)
from consent_service.services.access import Caller
from consent_service.services.own_films import OwnFilm
from consent_service.services.own_page import OwnPage, Standing
from consent_service.services.own_withdrawal import OwnRequest, Told
from consent_service.services.withdrawal_outcome import PreviewView
from consent_service.web import languages, own_faults, own_session
from consent_service.web.fields import PageForm, choice, first_of, several, show, status, summary
from consent_service.web.here import ctx
from consent_service.web.own import page, paper

own_stop = Blueprint("own_stop", __name__, url_prefix="/own")
own_stop.before_request(own_session.choose_language)
own_stop.before_request(own_session.require_form_token)
own_stop.after_request(own_session.say_nothing_of_here)
own_stop.after_request(languages.remember)

AGREED = (Standing.STANDS, Standing.WAITS)


class StopForm(PageForm):
    """For whom, what, and when film goes."""

    person = choice(
        _l("For whom do you want to stop it?"), sentence=_l("Choose for whom you want to stop it.")
    )
    scope = choice(_l("What do you want to stop?"), sentence=_l("Choose what you want to stop."))
    purposes = several(_l("Which uses?"))
    keep = several(_l("Uses that you want to keep all the same"))
    assets = several(_l("Which films or photos of you?"))
    speed = choice(_l("When is film destroyed?"), sentence=_l("Choose when it is destroyed."))


class PinForm(PageForm):
    """A number that only its owner knows."""

    pin = PasswordField(
        _l("Your own number of %(digits)s digits", digits=PIN_DIGITS),
        [Optional(), Length(max=20)],
        render_kw={"autocomplete": "off"},
    )


def _caller() -> Caller:
    return own_session.caller(LinkKind.PARENT)


@own_stop.route("/stop", methods=["GET", "POST"])
def choose() -> ResponseReturnValue:
    """Ask who stops what; sending shows what would happen."""
    mine = own_page.own_page(ctx(), _caller())
    form = StopForm()
    _offer(form, mine)
    if form.sent:
        try:
            shown = own_withdrawal.preview(ctx(), _caller(), _wanted(form, mine))
        except InvalidInput as fault:
            form.add_faults(own_faults.translated(fault))
        else:
            return _preview(form, mine, shown, PinForm(formdata=None))
    return page("own/stop.html", form=form, show=show, summary=summary, mine=mine), status(form)


@own_stop.get("/stop/confirm")
def again() -> ResponseReturnValue:
    """Lead a reloaded or bookmarked preview back to its beginning."""
    return redirect(url_for("own_stop.choose"))


@own_stop.post("/stop/confirm")
def confirm() -> ResponseReturnValue:
    """Stop it, exactly as it was shown."""
    mine = own_page.own_page(ctx(), _caller())
    form, number = StopForm(), PinForm()
    _offer(form, mine)
    if not form.validate():
        return redirect(url_for("own_stop.choose"))
    seen = own_withdrawal.preview(ctx(), _caller(), _wanted(form, mine))
    if seen.digest != request.form.get("digest"):
        return _preview(form, mine, seen, number, changed=True)
    try:
        done = own_withdrawal.stop(ctx(), _caller(), _wanted(form, mine), number.pin.data or "")
    except InvalidInput as fault:
        number.add_faults(own_faults.translated(fault))
        return _preview(form, mine, seen, number)
    return redirect(url_for("own_stop.stopped", identifier=done.id), 303)


@own_stop.get("/stopped/<id:identifier>")
def stopped(identifier: str) -> str:
    """Show what was stopped, what becomes of it, and that care stays the same."""
    caller = _caller()
    view = withdrawal.withdrawal(ctx(), caller, identifier)
    now = ctx().clock.now()
    issued = own_papers.own_papers(ctx(), caller).certificates
    return page(
        "own/stopped.html",
        certificate=next((one for one in issued if one.withdrawal == identifier), None),
        view=view,
        told=Told.of(withdrawal.outcome(ctx(), caller, identifier)),
        names=own_page.own_page(ctx(), caller).names,
        uses=_labels(caller, view.person, view.purposes),
        waits=view.undo_until is not None and not view.cancelled_at and now < view.undo_until,
        by_link=own_withdrawal.can_keep(ctx(), caller, identifier),
    )


@own_stop.get("/stopped/<id:identifier>/receipt.pdf")
def receipt(identifier: str) -> Response:
    """Return the receipt to keep."""
    return paper(papers.withdrawal_receipt(ctx(), _caller(), identifier), "receipt")


@own_stop.route("/stopped/<id:identifier>/keep", methods=["GET", "POST"])
def keep(identifier: str) -> ResponseReturnValue:
    """Keep the film after all, with the number chosen when it was stopped."""
    view = withdrawal.withdrawal(ctx(), _caller(), identifier)
    form = PinForm()
    if form.sent:
        try:
            own_withdrawal.keep_after_all(ctx(), _caller(), identifier, form.pin.data or "")
        except (InvalidInput, Refused, Conflict) as fault:
            form.add_faults(own_faults.translated(fault))
        else:
            return redirect(url_for("own_stop.stopped", identifier=identifier), 303)
    return page("own/keep.html", form=form, show=show, summary=summary, view=view), status(form)


def _preview(
    form: StopForm, mine: OwnPage, shown: PreviewView, number: PinForm, *, changed: bool = False
) -> ResponseReturnValue:
    wanted = _wanted(form, mine)
    found = page(
        "own/preview.html",
        form=number,
        show=show,
        summary=summary,
        person=wanted.person,
        films=[str(p[1]) for p in form.assets.choices or () if p[0] in wanted.assets],
        mine=mine,
        shown=shown,
        told=Told.of(shown),
        changed=changed,
        uses=_labels(_caller(), wanted.person, shown.purposes),
        sent=[
            (name, value)
            for name, value in request.form.items(multi=True)
            if name not in ("csrf_token", "digest", "pin")
        ],
    )
    return found, status(number)


def _offer(form: StopForm, mine: OwnPage) -> None:
    people = own_withdrawal.people(ctx(), _caller())
    form.person.choices = [
        (person, _("Myself") if person == mine.person else mine.names[person]) for person in people
    ]
    labels = ctx().policies.purposes
    agreed = {
        spelt: _label(labels, spelt)
        for line in mine.lines
        if line.standing in AGREED and line.about in people
        for spelt in line.spelt
    }
    form.purposes.choices = list(agreed.items())
    form.keep.choices = [(code, label) for code, label in agreed.items() if code != CARE]
    form.assets.choices = [(film.id, _film(film)) for film in _films(mine, people)]
    form.scope.choices = [(WithdrawalScope.EVERYTHING.value, _("Everything: all film and photos"))]
    if agreed:
        form.scope.choices.append((WithdrawalScope.PURPOSES.value, _("Some uses only")))
    if form.assets.choices:
        form.scope.choices.append(
            (WithdrawalScope.ASSETS.value, _("Some films or photos of me only"))
        )
    days = ctx().policies.organisation.undo_days
    form.speed.choices = [
        (Speed.NOW.value, _("Now")),
        (Speed.SEVEN_DAYS.value, _("In %(days)s days, unless I change my mind", days=days)),
    ]
    if not form.is_submitted():
        form.person.data, form.speed.data = first_of(form.person), Speed.NOW.value


def _films(mine: OwnPage, people: Sequence[str]) -> list[OwnFilm]:
    """Return what may be stopped one by one, by whoever speaks for themselves."""
    return own_films.stoppable(ctx(), _caller()) if mine.person in people else []


def _film(film: OwnFilm) -> str:
    """Return what a film, clip or photo is called: its kind and day, never its title."""
    when = languages.written_day(film.filmed_on)
    found = {
        AssetKind.RECORDING: _("Film of %(when)s", when=when),
        AssetKind.CLIP: _("Clip from the film of %(when)s", when=when),
        AssetKind.STILL: _("Photo from the film of %(when)s", when=when),
    }[film.kind]
    if film.number is None:
        return str(found)
    return str(_("%(film)s, number %(number)s", film=found, number=film.number))


def _wanted(form: StopForm, mine: OwnPage) -> OwnRequest:
    """Return what was asked for; single films are those of the holder, whoever was chosen."""
    scope = WithdrawalScope(form.scope.data)
    chosen = {
        WithdrawalScope.EVERYTHING: {"keep_purposes": tuple(form.keep.data or ())},
        WithdrawalScope.PURPOSES: {"purposes": tuple(form.purposes.data or ())},
        WithdrawalScope.ASSETS: {"assets": tuple(form.assets.data or ())},
    }[scope]
    person = mine.person if scope is WithdrawalScope.ASSETS else form.person.data
    return OwnRequest(person, scope, Speed(form.speed.data), **chosen)


def _labels(caller: Caller, person: str, purposes: Sequence[str]) -> list[str]:
    """Return in words which uses end, as far as the holder of the link answered them."""
    told = own_withdrawal.uses_told(ctx(), caller, person, purposes)
    return [_label(ctx().policies.purposes, purpose) for purpose in told]


def _label(labels: Any, purpose: str) -> str:
    base, _, use = purpose.partition(":")
    return f"{labels[base].label} ({use})" if use else str(labels[base].label)
