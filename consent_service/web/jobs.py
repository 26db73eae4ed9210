"""What the service does by itself: when each job is next due and how it went; and its health."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.services import checks, comparisons, jobs
from consent_service.services.reconcile import Fault
from consent_service.web.here import caller, ctx

job_pages = Blueprint("jobs", __name__, url_prefix="/jobs")

MEANINGS = {
    Fault.OBJECT_OF_ERASED: (
        "An object of erased film was in the store again",
        "It is deleted at once. Find out which backup it came from.",
    ),
    Fault.UNKNOWN_OBJECT: (
        "An object that no film stands for",
        "It goes a day after it was first reported. If somebody may miss it, stop the service"
        " before then and find out whose it is.",
    ),
    Fault.LEFTOVER_UPLOAD: ("Something was left of an upload", "It is deleted at once."),
    Fault.OBJECT_MISSING: (
        "Film that should be in the store is not there",
        "Put the store's backup back. If there is none, tell the family that it is lost.",
    ),
    Fault.KEY_ALIVE: (
        "A key that was destroyed was there again",
        "It is destroyed at once. Find out which backup it came from.",
    ),
    Fault.KEY_MISSING: (
        "The key of film that is kept is gone",
        "Put the newest key backup back. Without it nobody can open this film again.",
    ),
    Fault.WRAP_WITHOUT_RIGHT: ("A wrapped key stood on a key that is gone", "It goes at once."),
    Fault.SIDECAR_WRONG: (
        "What stands beside a film in the store was missing or out of date",
        "It is written anew at once. If it comes back often, see whether the store was away.",
    ),
    Fault.CONSENT_KEY_WITHOUT_RIGHT: (
        "A key was open although nobody agrees any more",
        "It is locked away at once.",
    ),
    Fault.SEALED_KEY_LIVE: (
        "A key that had been locked away was open again",
        "It is locked away at once. Find out which copy of the keyring was put back.",
    ),
    Fault.CONSENT_WITHOUT_KEY: (
        "Somebody's consent stands, but its key is gone",
        "Their film stays shut. Ask this person again: a new yes makes a new key.",
    ),
    Fault.UNKNOWN_KEY: (
        "A key that neither a film nor a yes stands for",
        "It goes a day after it was first reported, as an unknown object does.",
    ),
    Fault.KEPT_OBJECT: (
        "An object that the database which was put back does not know",
        "It may be newer film and stays. If a newer backup is the right one, restore it. If there"
        " is none, run `consent-service reconcile --confirm-unknown`. It stays even then while a"
        " hold may cover it.",
    ),
    Fault.KEPT_KEY: (
        "A key that the database which was put back does not know",
        "It may open newer film and stays until the right backup is restored, or until somebody"
        " confirms that it may go, as for an object.",
    ),
    Fault.KEPT_SIDECAR: (
        "What stands beside a film may open it with what the database put back does not know",
        "It stays, as the only copy, until the right backup is restored, or until somebody confirms"
        " that it may be written over, as for an object.",
    ),
    Fault.NOT_COMPARED: (
        "Something could not be read or put right",
        "All else was compared. See in the service's log whether a disk, the store, the keys or the"
        " journal fail; the next comparison tries again.",
    ),
}
"""What each fault means, and what is or must be done about it."""


@job_pages.get("")
def listing() -> str:
    """List the jobs, their newest runs, and what the service finds when it checks itself."""
    return render_template(
        "jobs/listing.html",
        jobs=jobs.jobs(ctx(), caller()),
        runs=jobs.history(ctx(), caller(), limit=30),
        findings=checks.check(ctx()),
    )


@job_pages.get("/comparison")
def comparison() -> str:
    """Show what the newest comparison of store, database, ledger and keys found."""
    found = comparisons.newest(ctx(), caller())
    return render_template("jobs/comparison.html", found=found, meanings=MEANINGS)


@job_pages.post("/<name>/run")
def run(name: str) -> ResponseReturnValue:
    """Ask for a run now."""
    jobs.run_now(ctx(), caller(), name)
    flash("The job runs within seconds.", "success")
    return redirect(url_for("jobs.listing"))
