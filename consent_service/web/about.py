"""The start page, and what everybody may read: accessibility, privacy, cookies, contact."""

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from consent_service.domain.policies import form_facts
from consent_service.web.here import ctx
from consent_service.web.navigation import home

about = Blueprint("about", __name__)


@about.get("/")
def start() -> ResponseReturnValue:
    """Lead everybody to where their work begins."""
    return redirect(home())


@about.get("/accessibility")
def accessibility() -> str:
    """Say how far the pages can be used by everybody, and whom to tell."""
    return render_template("about/accessibility.html")


@about.get("/privacy")
def privacy() -> str:
    """Say what is kept about people, why, and for how long."""
    policies = ctx().policies
    facts = form_facts(policies.organisation, policies.schedule, "")
    return render_template("about/privacy.html", facts=facts.values, policies=policies)


@about.get("/cookies")
def cookies() -> str:
    """Say which cookie there is."""
    return render_template("about/cookies.html")


@about.get("/contact")
def contact() -> str:
    """Say how to reach the team."""
    return render_template("about/contact.html")
