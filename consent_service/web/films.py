"""Film: is the family ready, the film comes in, it is watched, and moments are kept.

Rules kept here:
  * nobody is filmed who was not asked *ready today or not today*;
  * whoever watches says for what, and only uses that everyone in the film permits are offered;
  * what may not come in any more is told before a camera is on or a file chosen.
"""

from dataclasses import dataclass

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import london_day
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.byte_ranges import asked_range
from consent_service.domain.purposes import CARE, split_use
from consent_service.domain.roles import Permission
from consent_service.errors import ConsentServiceError, InvalidInput, Refused
from consent_service.services import (
    assets,
    cutting,
    depicted,
    involvements,
    recordings,
    timeline,
    uploads,
    viewing,
)
from consent_service.services.access import roles_of
from consent_service.services.assets import AssetView
from consent_service.services.films_to_watch import films_to_watch
from consent_service.services.involvements import InvolvementView
from consent_service.web import headers
from consent_service.web.fields import PageForm, show, status, summary
from consent_service.web.film_forms import (
    EARLIER,
    NOT_TODAY,
    ClipForm,
    FilmForm,
    NotSeenForm,
    ReadyForm,
    SeenForm,
    StillForm,
)
from consent_service.web.here import caller, ctx, may

films = Blueprint("films", __name__)

RECORD, FILE = "record", "file"
NAMED_IN = ("missing", "asked", "lacking")
"""Where a refusal to film says whose answer it is about."""
SPARE_SECONDS = 5
"""How much earlier than at the limit a camera stops: what is refused for its length is lost."""


@dataclass(frozen=True)
class Use:
    """A use that may be stated: its code and its label."""

    code: str
    label: str


@films.route("/families/<id:involvement>/films/ready", methods=["GET", "POST"])
def add(involvement: str) -> ResponseReturnValue:
    """Ask first: ready today, or not today."""
    family = involvements.family(ctx(), caller(), involvement)
    form = ReadyForm()
    if form.sent:
        if form.ready.data != NOT_TODAY:
            more = {} if form.ready.data == EARLIER else {"where": form.mode.data}
            return redirect(url_for("films.describe", involvement=family.id, **more))
        today = london_day(ctx().clock.now())
        involvements.record_meeting(ctx(), caller(), form.not_today(family.id, today))
        flash("Not today is fine. It is written down; ask again another day.", "success")
        return redirect(url_for("families.show", involvement=family.id))
    page = render_template("films/ready.html", form=form, family=family, show=show, summary=summary)
    return page, status(form)


@films.route("/families/<id:involvement>/films/add", methods=["GET", "POST"])
def describe(involvement: str) -> ResponseReturnValue:
    """Say who is in the film; refused while somebody's consent is missing."""
    family = involvements.family(ctx(), caller(), involvement)
    form = FilmForm()
    form.offer(family)
    if not form.is_submitted():
        form.filmed_on.process(None, london_day(ctx().clock.now()))
        form.mode.data = request.args.get("where")
    if form.sent:
        try:
            known = timeline.meetings(ctx(), caller(), involvement)
            meeting = form.meeting(ctx(), caller(), involvement, known)
            film = recordings.reserve(ctx(), caller(), form.request(involvement, meeting))
        except InvalidInput as fault:
            form.add_faults(fault)
        except Refused as refusal:
            return _missing(family, refusal)
        else:
            return redirect(url_for("films.upload", asset=film.id))
    page = render_template(
        "films/describe.html",
        form=form,
        family=family,
        show=show,
        summary=summary,
        length=ctx().policies.organisation.film_length,
    )
    return page, status(form)


def _missing(family: InvolvementView, refusal: Refused) -> ResponseReturnValue:
    """Name everyone whose consent is missing, with the way to put it right."""
    named = next((refusal.details[key] for key in NAMED_IN if refusal.details.get(key)), None)
    if named is None:
        raise refusal
    lines = [(line["person"], line.get("state")) for line in named]
    today = london_day(ctx().clock.now())
    in_force = [line for line in family.responsibilities if line.in_force(today)]
    members = {person.id for _, person in family.people}
    deciders = {
        person: [r.holder for r in in_force if r.child == person and r.holder in members]
        for person, _ in lines
    }
    page = render_template(
        "films/missing.html",
        family=family,
        names=_names(family),
        roles={person.id: member.role for member, person in family.people},
        lines=lines,
        deciders=deciders,
        refusal=refusal,
    )
    return page, 403


@films.get("/films/<id:asset>/upload")
def upload(asset: str) -> ResponseReturnValue:
    """Film with this device, or send a file: either goes on where it was."""
    film = assets.asset(ctx(), caller(), asset)
    if film.state is not AssetState.RECEIVING:
        return redirect(url_for("films.watch", asset=asset))
    try:
        coming = uploads.upload(ctx(), caller(), asset)
    except Refused as refusal:
        return _missing(involvements.family(ctx(), caller(), film.involvement), refusal)
    limits = ctx().policies.organisation.film_length
    minutes = limits.refuse_from_minutes if coming.may_be_long else limits.ask_from_minutes
    return render_template(
        "films/upload.html",
        film=film,
        came=coming.offset,
        how=_how(film),
        minutes=minutes,
        seconds=minutes * 60 - SPARE_SECONDS,
        largest=ctx().settings.max_upload,
    )


def _how(film: AssetView) -> str:
    """Return how a film is to come in: as asked; one of today from the camera, others as a file."""
    asked = request.args.get("how")
    if asked in (RECORD, FILE):
        return asked
    return RECORD if film.filmed_on == london_day(ctx().clock.now()) else FILE


@films.get("/families/<id:involvement>/films")
def listing(involvement: str) -> str:
    """List a family's film, clips and photos: who is in each, and until when it is kept."""
    family = involvements.family(ctx(), caller(), involvement)
    found = assets.assets(ctx(), caller(), involvement)
    return render_template(
        "films/listing.html",
        family=family,
        names=_names(family),
        kept=[a for a in found if a.state is not AssetState.ERASED],
        gone=[a for a in found if a.state is AssetState.ERASED],
    )


@films.get("/films")
def for_supervision() -> str:
    """List clips that their families permit somebody without the verb to cut to watch."""
    page = films_to_watch(ctx(), caller(), request.args.get("after"))
    rows = [(film, uses) for film in page.films if (uses := uses_of(film))]
    return render_template("films/for_supervision.html", rows=rows, following=page.following)


@films.get("/films/<id:asset>")
def watch(asset: str) -> ResponseReturnValue:
    """Watch a film, clip or photo for a stated use, and mark what to keep."""
    return _watch(assets.asset(ctx(), caller(), asset), ClipForm(), StillForm())


@films.route("/films/<id:asset>/clips", methods=["GET", "POST"])
def clip(asset: str) -> ResponseReturnValue:
    """Cut a clip."""
    source = assets.asset(ctx(), caller(), asset)
    form = ClipForm()
    if form.sent:
        try:
            cutting.clip(ctx(), caller(), form.request(asset))
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The clip is kept.", "success")
            return redirect(url_for("films.watch", asset=asset, _anchor="kept"))
    return _watch(source, form, StillForm(formdata=None))


@films.route("/films/<id:asset>/stills", methods=["GET", "POST"])
def still(asset: str) -> ResponseReturnValue:
    """Take a photo out of a film."""
    source = assets.asset(ctx(), caller(), asset)
    form = StillForm()
    if form.sent:
        try:
            cutting.still(ctx(), caller(), form.request(asset))
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The photo is kept.", "success")
            return redirect(url_for("films.watch", asset=asset, _anchor="kept"))
    return _watch(source, ClipForm(formdata=None), form)


def _watch(film: AssetView, clip_form: ClipForm, still_form: StillForm) -> ResponseReturnValue:
    family = involvements.family(ctx(), caller(), film.involvement)
    uses = uses_of(film)
    use = _stated(uses)
    headers.with_player()
    cuts = use is not None and may(Permission.FILM_CUT) and film.kind is not AssetKind.STILL
    form: PageForm = clip_form if clip_form.is_submitted() and clip_form.faults else still_form
    page = render_template(
        "films/watch.html",
        film=film,
        family=family,
        names=_names(family),
        uses=uses,
        use=use,
        cuts=cuts,
        clip_form=clip_form,
        still_form=still_form,
        form=form,
        made=_made_of(film),
        show=show,
        summary=summary,
    )
    return page, status(form)


def _made_of(film: AssetView) -> list[AssetView]:
    """Return what was kept from a film: clips and photos, and the photos taken from its clips."""
    found = assets.assets(ctx(), caller(), film.involvement)
    origins = {film.id} | {a.id for a in found if a.source == film.id}
    gone = (AssetState.ERASED, AssetState.LOCKED)
    return [a for a in found if a.source in origins and a.state not in gone]


@films.get("/films/<id:asset>/content")
def content(asset: str) -> Response:
    """Send a film, whole or a range of it, for the purpose stated in the address."""
    film = viewing.open_film(ctx(), caller(), asset, request.args.get("purpose", ""))
    looks = request.method == "HEAD"
    # Of a HEAD no range is asked (RFC 9110, 14.2).
    asked = None if looks else request.headers.get("Range")
    try:
        wanted = asked_range(asked, request.headers.get("If-Range"), film.etag, film.size)
        pieces = () if looks else film.iter_range(wanted.start, wanted.end)
    except BaseException:
        film.close()
        raise
    response = Response(pieces, 206 if wanted.partial else 200, mimetype=film.media_type)
    response.call_on_close(film.close)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = film.etag
    response.content_length = wanted.length
    response.headers["Content-Disposition"] = f'inline; filename="{film.filename}"'
    if wanted.partial:
        response.headers["Content-Range"] = wanted.content_range(film.size)
    return response


@films.route("/films/<id:asset>/people/add", methods=["GET", "POST"])
def add_person(asset: str) -> ResponseReturnValue:
    """Write down that somebody else is in the film; it stops until they were asked."""
    film = assets.asset(ctx(), caller(), asset)
    family = involvements.family(ctx(), caller(), film.involvement)
    form = SeenForm()
    form.offer(family, film)
    if form.sent:
        try:
            now = depicted.add_depicted(ctx(), caller(), asset, form.person.data)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            waits = now.state is AssetState.AWAITING_CONSENT
            flash(
                "It is written down. Nobody can watch this film until they said yes."
                if waits
                else "It is written down. They had said yes to being filmed.",
                "success",
            )
            return redirect(url_for("films.watch", asset=asset))
    page = render_template(
        "films/person.html", form=form, film=film, family=family, show=show, summary=summary
    )
    return page, status(form)


@films.route("/films/<id:asset>/people/<id:person>/not-seen", methods=["GET", "POST"])
def ask_removal(asset: str, person: str) -> ResponseReturnValue:
    """Ask that somebody be written down as not seen or heard; a second person confirms it."""
    film = assets.asset(ctx(), caller(), asset)
    family = involvements.family(ctx(), caller(), film.involvement)
    form = NotSeenForm()
    if form.sent:
        try:
            depicted.ask_removal(ctx(), caller(), asset, person, form.reason.data or "")
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash("Asked. A second person watches it and confirms.", "success")
            return redirect(url_for("films.watch", asset=asset))
    page = render_template(
        "films/not_seen.html",
        form=form,
        film=film,
        name=_names(family).get(person, "somebody"),
        show=show,
        summary=summary,
    )
    return page, status(form)


@films.post("/films/<id:asset>/people/<id:person>/not-seen/answer")
def confirm_removal(asset: str, person: str) -> ResponseReturnValue:
    """Confirm, as the second person, that somebody is not in the film, or let them stay in it."""
    if request.form.get("answer") == "confirm":
        depicted.confirm_removal(ctx(), caller(), asset, person)
        flash("Confirmed. Only the people who are in it count now.", "success")
    else:
        depicted.refuse_removal(ctx(), caller(), asset, person)
        flash("They stay in the film.", "success")
    return redirect(url_for("films.watch", asset=asset))


def uses_of(film: AssetView) -> list[Use]:
    """Return the uses that everyone in a film permits and the caller's roles may state."""
    roles = roles_of(ctx(), caller())
    uses = []
    for purpose in film.purposes:
        code, named = split_use(purpose)
        if any(role.states(code) for role in roles):
            label = ctx().policies.purposes[code].label
            uses.append(Use(purpose, f"{label} ({named})" if named else label))
    return uses


def _stated(uses: list[Use]) -> Use | None:
    """Return the use stated in the address; without one, care or the only one there is."""
    by_code = {use.code: use for use in uses}
    asked = request.args.get("purpose")
    if asked is not None:
        return by_code.get(asked)
    return by_code.get(CARE) or (uses[0] if len(uses) == 1 else None)


def _names(family: InvolvementView) -> dict[str, str]:
    return {person.id: person.full_name for _, person in family.people}
