"""The audit log: what happened, whether the log is whole, and a copy to check elsewhere."""

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import IO

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import start_of_london_day
from consent_service.db.audit_log import EntryFilter, LoggedEntry
from consent_service.domain.audit import ActorKind, EventKind, sentence
from consent_service.ids import is_id
from consent_service.services import audit, timeline
from consent_service.web.fields import PageForm
from consent_service.web.here import caller, ctx, page_asked
from consent_service.web.words import within

audit_pages = Blueprint("audit", __name__, url_prefix="/audit")

KINDS = sorted((kind.value, kind.value.replace("_", " ").replace(".", ": ")) for kind in EventKind)
PIECE = 256 * 1024


@dataclass(frozen=True)
class Asked:
    """What is searched for, as it was typed."""

    kind: str
    about: str
    since: str
    until: str


@audit_pages.get("")
def search() -> ResponseReturnValue:
    """Search the log, newest first; who searches stands in the log as well."""
    asked = Asked(
        *(request.args.get(name, "").strip() for name in ("kind", "about", "since", "until"))
    )
    wanted, faults = _filter(asked)
    page = None
    if not faults:
        page = audit.search(ctx(), caller(), wanted, page_asked().cursor)
    rows = _rows(page.entries) if page else []
    html = render_template(
        "governance/audit.html",
        asked=asked,
        faults=faults,
        faults_list=[{"text": fault, "href": f"#{name}"} for name, fault in faults.items()],
        rows=rows,
        page=page,
        kind_items=[
            {"value": "", "text": "Everything", "selected": not asked.kind},
            *({"value": v, "text": t, "selected": v == asked.kind} for v, t in KINDS),
        ],
    )
    return html, 400 if faults else 200


@audit_pages.route("/verify", methods=["GET", "POST"])
def verify() -> ResponseReturnValue:
    """Verify every byte of the log against the heads that were published."""
    form = PageForm()
    if form.sent:
        report = audit.verify(ctx(), caller())
        if report.ok:
            flash(
                f"The log is whole: {report.entries} entries under {report.checkpoints} signed"
                f" heads. {report.unsealed} are too new to be sealed.",
                "success",
            )
        else:
            bad = report.first_bad
            where = f" First bad entry: {bad.index} of epoch {bad.epoch}." if bad else ""
            flash(
                f"The log does not verify.{where} Change nothing; keep a copy of the database and"
                " the journal, and tell whoever runs the service."
            )
        return redirect(url_for("audit.verify"))
    return render_template("governance/verify.html", head=audit.latest_checkpoint(ctx()))


@audit_pages.post("/export")
def export() -> Response:
    """Send the whole log up to its newest signed head, to be verified elsewhere."""
    # The log holds ids and codes only, so a file without a name may hold it on its way out.
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    audit.export(ctx(), caller(), copy)
    copy.seek(0)
    response = Response(_pieces(copy), mimetype="application/x-ndjson")
    response.call_on_close(copy.close)
    response.headers["Content-Disposition"] = 'attachment; filename="audit.ndjson"'
    return response


@audit_pages.get("/entries/<id:entry>/proof.json")
def proof(entry: str) -> Response:
    """Return the proof that an entry stands in the log; public keys check it."""
    found = audit.proof(ctx(), caller(), entry)
    answer = jsonify(
        entry=found.entry_id,
        body=base64.b64encode(found.body).decode(),
        epoch=found.epoch,
        index=found.index,
        size=found.size,
        path=[digest.hex() for digest in found.path],
        checkpoint=found.note,
    )
    answer.headers["Content-Disposition"] = f'attachment; filename="proof-{found.entry_id}.json"'
    return answer


def _filter(asked: Asked) -> tuple[EntryFilter, dict[str, str]]:
    faults: dict[str, str] = {}
    days: dict[str, date | None] = {}
    for name in ("since", "until"):
        try:
            text = getattr(asked, name)
            days[name] = date.fromisoformat(text) if text else None
        except ValueError:
            faults[name] = "Enter a day such as 2026-09-14."
    kinds: tuple[EventKind, ...] = ()
    if asked.kind:
        try:
            kinds = (EventKind(asked.kind),)
        except ValueError:
            faults["kind"] = "Choose a kind from the list."
    if asked.about and not is_id(asked.about):
        faults["about"] = "Enter an id of 32 letters and digits, as the log shows it."
    if faults:
        return EntryFilter(), faults
    since, until = days["since"], days["until"]
    return (
        EntryFilter(
            kinds=kinds,
            subject=asked.about or None,
            since=start_of_london_day(since) if since else None,
            until=start_of_london_day(until + timedelta(days=1)) if until else None,
        ),
        faults,
    )


def _rows(entries: list[LoggedEntry]) -> list[tuple[LoggedEntry, str]]:
    """Return each entry with its sentence; names only of staff who acted."""
    acted = frozenset(
        entry.recorded.event.actor.id
        for entry in entries
        if entry.recorded.event.actor.kind is ActorKind.USER
    )
    staff = timeline.names_of_staff(ctx(), acted)
    purposes = {code: use.label for code, use in ctx().policies.purposes.items()}

    def name_of(code: str) -> str:
        return staff.get(code) or within(code, purposes)

    return [(entry, sentence(entry.recorded.event, name_of)) for entry in entries]


def _pieces(copy: IO[bytes]) -> Iterator[bytes]:
    while piece := copy.read(PIECE):
        yield piece
