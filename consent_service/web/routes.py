"""Who may open which page: one table, closed by default.

Every endpoint of the pages stands here. One that does not is refused to everybody, and a test
fails. Use cases ask again for themselves: this is the first door, not the only one.
"""

from collections.abc import Mapping
from enum import StrEnum

from flask import Flask, request
from flask.typing import ResponseReturnValue

from consent_service.domain.roles import Permission as P
from consent_service.errors import LinkClosed, NotFound
from consent_service.services import access
from consent_service.services.access import Caller
from consent_service.web import here, own_session


class Open(StrEnum):
    """A page that asks for no verb."""

    EVERYONE = "everyone"
    SIGNED_IN = "signed in"


ROUTES: dict[str, P | Open] = {
    "static": Open.EVERYONE,
    # signing in
    "security.login": Open.EVERYONE,
    "security.logout": Open.SIGNED_IN,
    "security.verify": Open.SIGNED_IN,
    "security.two_factor_setup": Open.EVERYONE,
    "security.two_factor_setup_validate": Open.SIGNED_IN,
    "security.two_factor_token_validation": Open.EVERYONE,
    "security.two_factor_rescue": Open.EVERYONE,
    "security.tf_select": Open.EVERYONE,
    "security.mf_recovery": Open.EVERYONE,
    "security.mf_recovery_codes": Open.SIGNED_IN,
    "account.show": Open.SIGNED_IN,
    "account.still_here": Open.SIGNED_IN,
    "account.password": Open.SIGNED_IN,
    "account.sign_out": Open.SIGNED_IN,
    "account.signed_out": Open.EVERYONE,
    "account.set_up": Open.EVERYONE,
    # what everybody may read
    "about.start": Open.SIGNED_IN,
    "about.accessibility": Open.EVERYONE,
    "about.privacy": Open.EVERYONE,
    "about.cookies": Open.EVERYONE,
    "about.contact": Open.EVERYONE,
    "offline.worker": Open.EVERYONE,
    "offline.away": Open.EVERYONE,
    "health.live": Open.EVERYONE,
    "health.ready": Open.EVERYONE,
    "health.metrics": Open.EVERYONE,
    # families
    "families.mine": P.INVOLVEMENT_READ,
    "families.show": P.INVOLVEMENT_READ,
    "families.story": P.INVOLVEMENT_READ,
    "families.begin": P.INVOLVEMENT_WRITE,
    "families.end": P.INVOLVEMENT_WRITE,
    "families.reopen": P.INVOLVEMENT_WRITE,
    "families.add_person": P.INVOLVEMENT_WRITE,
    "families.add_responsibility": P.PEOPLE_WRITE,
    "families.end_responsibility": P.PEOPLE_WRITE,
    "families.change_person": P.PEOPLE_WRITE,
    "families.find": P.PEOPLE_READ,
    "families.add_meeting": P.INVOLVEMENT_WRITE,
    "families.safeguard": P.HOLD_PLACE_SAFEGUARDING,
    # leaflets and consent
    "leaflets.listing": P.LEAFLET_READ,
    "leaflets.read": P.LEAFLET_READ,
    "leaflets.paper": P.LEAFLET_READ,
    "leaflets.give": P.LEAFLET_GIVE,
    "leaflets.bring_in": P.LEAFLET_PUBLISH,
    "leaflets.review": P.LEAFLET_REVIEW,
    "leaflets.override": P.LEAFLET_OVERRIDE,
    "consents.begin": P.CONSENT_CAPTURE,
    "consents.words": P.CONSENT_CAPTURE,
    "consents.layer": P.CONSENT_CAPTURE,
    "consents.check": P.CONSENT_CAPTURE,
    "consents.sign": P.CONSENT_CAPTURE,
    "consents.resume": P.CONSENT_CAPTURE,
    "consents.throw_away": P.CONSENT_CAPTURE,
    "consents.done": P.CONSENT_READ,
    "consents.act": P.CONSENT_READ,
    "consents.scan": P.CONSENT_READ,
    "consents.attach": P.CONSENT_CAPTURE,
    "consents.copy": P.CONSENT_READ,
    "consents.confirm_late": P.CONSENT_CONFIRM_LATE,
    # links of families, and what they open
    "links.person": P.CONSENT_CAPTURE,
    "links.end": P.CONSENT_CAPTURE,
    "own.open_link": Open.EVERYONE,
    "own.leave": Open.EVERYONE,
    "own.inside": P.OWN_CONSENT_READ,
    "own.home": P.OWN_CONSENT_READ,
    "own.leaflet": P.OWN_CONSENT_READ,
    "own.leaflet_paper": P.OWN_CONSENT_READ,
    "own.copy": P.OWN_CONSENT_READ,
    "own.certificate": P.OWN_CONSENT_READ,
    "own.handover": P.OWN_CONSENT_READ,
    "own_stop.choose": P.OWN_WITHDRAWAL_RECORD,
    "own_stop.again": P.OWN_WITHDRAWAL_RECORD,
    "own_stop.confirm": P.OWN_WITHDRAWAL_RECORD,
    "own_stop.stopped": P.OWN_WITHDRAWAL_RECORD,
    "own_stop.receipt": P.OWN_WITHDRAWAL_RECORD,
    "own_stop.keep": P.OWN_WITHDRAWAL_RECORD,
    "own_consent.start": P.OWN_CONSENT_RECORD,
    "own_consent.leaflet_paper": P.OWN_CONSENT_RECORD,
    "own_consent.words": P.OWN_CONSENT_RECORD,
    "own_consent.question": P.OWN_CONSENT_RECORD,
    "own_consent.check": P.OWN_CONSENT_RECORD,
    "own_consent.sign": P.OWN_CONSENT_RECORD,
    "own_consent.later": P.OWN_CONSENT_RECORD,
    "own_consent.done": P.OWN_CONSENT_READ,
    "own_consent.copy": P.OWN_CONSENT_READ,
    # the way out
    "withdrawals.begin": P.WITHDRAWAL_PREVIEW,
    "withdrawals.preview": P.WITHDRAWAL_PREVIEW,
    "withdrawals.confirm": P.WITHDRAWAL_RECORD,
    "withdrawals.receipt": P.WITHDRAWAL_PREVIEW,
    "withdrawals.receipt_paper": P.WITHDRAWAL_PREVIEW,
    "withdrawals.keep_after_all": P.WITHDRAWAL_CANCEL,
    "certificates.listing": P.CERTIFICATE_READ,
    "certificates.order": P.ERASURE_READ,
    "certificates.paper": P.CERTIFICATE_READ,
    "certificates.receipt": P.ERASURE_READ,
    "certificates.bundle": P.CERTIFICATE_READ,
    # the administrator
    "users.listing": P.USERS_MANAGE,
    "users.add": P.USERS_MANAGE,
    "users.add_team": P.USERS_MANAGE,
    "users.disable": P.USERS_MANAGE,
    "users.enable": P.USERS_MANAGE,
    "users.reset": P.USERS_MANAGE,
    "users.add_token": P.TOKENS_MANAGE,
    "users.revoke_token": P.TOKENS_MANAGE,
    "jobs.listing": P.JOBS_READ,
    "jobs.comparison": P.JOBS_READ,
    "jobs.run": P.JOBS_RUN,
    # film
    "films.add": P.FILM_UPLOAD,
    "films.describe": P.FILM_UPLOAD,
    "films.upload": P.FILM_UPLOAD,
    "uploads.look": P.FILM_UPLOAD,
    "uploads.append": P.FILM_UPLOAD,
    "uploads.end": P.FILM_UPLOAD,
    "films.listing": P.FILM_LIST,
    "films.watch": P.FILM_LIST,
    "films.for_supervision": P.FILM_WATCH,
    "films.content": P.FILM_WATCH,
    "films.clip": P.FILM_CUT,
    "films.still": P.FILM_CUT,
    "moments.rename": P.FILM_CUT,
    "moments.remove": P.FILM_CUT,
    "films.add_person": P.DEPICTED_WRITE,
    "films.ask_removal": P.DEPICTED_WRITE,
    "films.confirm_removal": P.DEPICTED_WRITE,
    # shared reviews
    "reviews.add": P.REVIEW_WRITE,
    "reviews.listing": P.REVIEW_READ,
    "reviews.file": P.REVIEW_WRITE,
    "reviews.paper": P.REVIEW_READ,
    "reviews.goals": P.REVIEW_READ,
    "reviews.rate": P.REVIEW_WRITE,
    # the screen in front of the parent
    "together.clip": P.REVIEW_READ,
    "together.keep_photo": P.FILM_CUT,
    "together.goals": P.REVIEW_WRITE,
    "together.words": P.REVIEW_WRITE,
    "together.leave": P.REVIEW_READ,
    # photos to keep, words, what left
    "handovers.listing": P.HANDOVER_WRITE,
    "handovers.offer": P.HANDOVER_WRITE,
    "photos.decide": P.HANDOVER_WRITE,
    "photos.prints": P.HANDOVER_WRITE,
    "photos.leave": P.HANDOVER_WRITE,
    "handovers.receipt": P.HANDOVER_WRITE,
    "handovers.words": P.FEEDBACK_WRITE,
    "handovers.quote": P.QUOTE_WRITE,
    "handovers.end_quote": P.QUOTE_WRITE,
    "handovers.disclose": P.DISCLOSURE_WRITE,
    "handovers.take_back": P.DISCLOSURE_WRITE,
    # information governance
    "governance.overview": P.AUDIT_READ,
    "governance.inbox": Open.SIGNED_IN,
    "governance.seen": Open.SIGNED_IN,
    "governance.disputes": P.DISPUTE_RESOLVE,
    "governance.resolve": P.DISPUTE_RESOLVE,
    "governance.late": P.CONSENT_CONFIRM_LATE,
    "governance.erasures": P.ERASURE_READ,
    "consent_ends.ask_again": P.CONSENT_READ,
    "consent_ends.changes": P.FORM_READ,
    "consent_ends.invalidate": P.CONSENT_INVALIDATE,
    "consent_ends.revoke": P.CONSENT_REVOKE,
    "holds.listing": P.HOLD_READ,
    "holds.place": P.HOLD_PLACE,
    "holds.ask_release": P.HOLD_RELEASE,
    "holds.confirm_release": P.HOLD_RELEASE,
    "retention.due": P.RETENTION_READ,
    "retention.decide": P.DISPOSITION_DECIDE,
    "retention.confirm": P.DISPOSITION_DECIDE,
    "retention.explain": P.RETENTION_READ,
    "retention.schedule": P.RETENTION_READ,
    "retention.appraisals": P.RETENTION_READ,
    "retention.approve": P.APPRAISAL_APPROVE,
    "retention.revoke": P.APPRAISAL_APPROVE,
    "retention.confirm_clock": P.RETENTION_RUN,
    "subject_access.listing": P.SUBJECT_ACCESS_MANAGE,
    "subject_access.begin": P.SUBJECT_ACCESS_MANAGE,
    "subject_access.show": P.SUBJECT_ACCESS_MANAGE,
    "subject_access.make_file": P.SUBJECT_ACCESS_MANAGE,
    "subject_access.answer": P.SUBJECT_ACCESS_MANAGE,
    "subject_access.appeal": P.SUBJECT_ACCESS_MANAGE,
    "subject_access.close": P.SUBJECT_ACCESS_MANAGE,
    "audit.search": P.AUDIT_READ,
    "audit.verify": P.AUDIT_VERIFY,
    "audit.export": P.AUDIT_EXPORT,
    "audit.proof": P.AUDIT_READ,
}


def register(app: Flask) -> None:
    """Guard every endpoint of an app with the table."""
    app.before_request(_guard)


def _guard() -> ResponseReturnValue | None:
    endpoint = request.endpoint
    if endpoint is None:
        return None
    wanted = ROUTES.get(endpoint)
    if wanted is None:
        raise NotFound("This page is not in the table of pages.", kind="page")
    if wanted is Open.EVERYONE:
        return None
    caller = _link_holder() if wanted in OWN_VERBS else here.caller()
    if not isinstance(wanted, Open):
        access.require(here.ctx(), caller, wanted)
    return None


def _link_holder() -> Caller:
    """Return who holds a family's link here, or the member of staff who will be refused."""
    holder = own_session.find()
    if holder is not None:
        return holder.caller
    if here.signed_in():
        return here.caller()
    raise LinkClosed("This page has closed. Open your link again.")


OWN_VERBS = frozenset({P.OWN_CONSENT_READ, P.OWN_CONSENT_RECORD, P.OWN_WITHDRAWAL_RECORD})
"""What only the holders of families' links may do, on pages that no session of the team opens."""


def table() -> Mapping[str, P | Open]:
    """Return the table, for tests and for people."""
    return dict(ROUTES)
