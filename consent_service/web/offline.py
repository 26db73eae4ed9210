"""What a browser may keep for when there is no network: one page that says so, the same for all."""

from flask import Blueprint, Response, current_app, render_template

offline = Blueprint("offline", __name__)


@offline.get("/service-worker.js")
def worker() -> Response:
    """Send the script that answers while the network is away; from here it may, for every page."""
    return current_app.send_static_file("js/service-worker.js")


@offline.get("/offline")
def away() -> str:
    """Say that there is no connection, and what waits on this device."""
    return render_template("offline.html")
