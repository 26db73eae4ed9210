"""What the service does by itself: when each job is next due and how it went; and its health."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.services import checks, jobs
from consent_service.web.here import caller, ctx

job_pages = Blueprint("jobs", __name__, url_prefix="/jobs")


@job_pages.get("")
def listing() -> str:
    """List the jobs, their newest runs, and what the service finds when it checks itself."""
    return render_template(
        "jobs/listing.html",
        jobs=jobs.jobs(ctx(), caller()),
        runs=jobs.history(ctx(), caller(), limit=30),
        findings=checks.check(ctx()),
    )


@job_pages.post("/<name>/run")
def run(name: str) -> ResponseReturnValue:
    """Ask for a run now."""
    jobs.run_now(ctx(), caller(), name)
    flash("The job runs within seconds.", "success")
    return redirect(url_for("jobs.listing"))
