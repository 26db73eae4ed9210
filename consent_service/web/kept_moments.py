"""Clips and photos after they were cut: named anew, or removed.

Rules kept here: a removal is asked once more, and says what goes and what stays.
"""

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from consent_service.domain.assets import AssetKind
from consent_service.errors import ConsentServiceError, InvalidInput
from consent_service.services import assets, kept_moments
from consent_service.services.assets import AssetView
from consent_service.web.film_forms import NameForm, RemoveForm
from consent_service.web.here import caller, ctx
from consent_service.web.one_form import form_page
from consent_service.web.words import said

moments = Blueprint("moments", __name__)


@moments.route("/films/<id:asset>/name", methods=["GET", "POST"])
def rename(asset: str) -> ResponseReturnValue:
    """Give a clip or photo another name, or other words about what was noticed."""
    film = assets.asset(ctx(), caller(), asset)
    form = NameForm()
    if not form.is_submitted():
        form.show_as_kept(film)
    if form.sent:
        try:
            kept_moments.describe(ctx(), caller(), form.request(asset))
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash("The name and the notes are saved.", "success")
            return redirect(_back(film))
    return form_page(form, f"Rename this {said(film.kind).lower()}", _back(film))


@moments.route("/films/<id:asset>/remove", methods=["GET", "POST"])
def remove(asset: str) -> ResponseReturnValue:
    """Remove a clip or photo for good."""
    film = assets.asset(ctx(), caller(), asset)
    form = RemoveForm()
    if form.sent:
        try:
            reference = kept_moments.remove(ctx(), caller(), asset)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash(f"It is removed, and being destroyed. Reference: {reference}.", "success")
            return redirect(_back(film))
    what = said(film.kind).lower()
    return form_page(
        form,
        f"Remove this {what}?",
        _back(film),
        caption=film.title or "",
        words=_what_goes(film),
        save=f"Remove the {what}",
        kind="warning",
    )


def _what_goes(film: AssetView) -> tuple[str, ...]:
    rest = "The film and everything else that was kept from it stay."
    if film.kind is AssetKind.CLIP:
        rest = "The film stays, and so do photos that were taken from this clip."
    return (
        "Nobody can watch it from now on, and it is destroyed for good. That cannot be undone.",
        rest,
    )


def _back(film: AssetView) -> str:
    return url_for("films.watch", asset=film.source or film.id, _anchor="kept")
