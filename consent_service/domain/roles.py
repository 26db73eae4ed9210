"""Roles: what a member of staff, a parent's link or a program may do, and which purposes to state.

The verbs are this enumeration; who has which is policy (`policies/roles.yaml`).

Rules kept here:
  * stating a purpose when watching film is a separate power from the verb `film.watch` (rule 3);
  * a role sees its own team's families only, unless its scope is the organisation.
"""

from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """One verb of the service. `roles.yaml` hands them out; services ask for them by name."""

    PEOPLE_READ = "people.read"
    PEOPLE_WRITE = "people.write"
    INVOLVEMENT_READ = "involvement.read"
    INVOLVEMENT_WRITE = "involvement.write"
    LEAFLET_READ = "leaflet.read"
    LEAFLET_GIVE = "leaflet.give"
    LEAFLET_REVIEW = "leaflet.review"
    LEAFLET_PUBLISH = "leaflet.publish"
    LEAFLET_OVERRIDE = "leaflet.override"
    CONSENT_READ = "consent.read"
    CONSENT_CAPTURE = "consent.capture"
    CONSENT_CONFIRM_LATE = "consent.confirm_late"
    CONSENT_REVOKE = "consent.revoke"
    CONSENT_INVALIDATE = "consent.invalidate"
    DISPUTE_RESOLVE = "dispute.resolve"
    FORM_READ = "form.read"
    FORM_PUBLISH = "form.publish"
    POLICIES_READ = "policies.read"
    POLICIES_PUBLISH = "policies.publish"
    FILM_UPLOAD = "film.upload"
    FILM_LIST = "film.list"
    FILM_WATCH = "film.watch"
    FILM_CUT = "film.cut"
    DEPICTED_WRITE = "depicted.write"
    REVIEW_READ = "review.read"
    REVIEW_WRITE = "review.write"
    HANDOVER_WRITE = "handover.write"
    FEEDBACK_WRITE = "feedback.write"
    QUOTE_WRITE = "quote.write"
    DISCLOSURE_WRITE = "disclosure.write"
    WITHDRAWAL_PREVIEW = "withdrawal.preview"
    WITHDRAWAL_RECORD = "withdrawal.record"
    WITHDRAWAL_CANCEL = "withdrawal.cancel"
    ERASURE_READ = "erasure.read"
    ERASURE_RUN = "erasure.run"
    CERTIFICATE_READ = "certificate.read"
    HOLD_READ = "hold.read"
    HOLD_PLACE = "hold.place"
    HOLD_PLACE_SAFEGUARDING = "hold.place_safeguarding"
    HOLD_RELEASE = "hold.release"
    RETENTION_READ = "retention.read"
    RETENTION_RUN = "retention.run"
    APPRAISAL_PROPOSE = "appraisal.propose"
    APPRAISAL_APPROVE = "appraisal.approve"
    DISPOSITION_DECIDE = "disposition.decide"
    AUDIT_READ = "audit.read"
    AUDIT_VERIFY = "audit.verify"
    AUDIT_EXPORT = "audit.export"
    SUBJECT_ACCESS_MANAGE = "subject_access.manage"
    BREAK_GLASS = "break_glass"
    BREAK_GLASS_CONFIRM = "break_glass.confirm"
    KEYS_READ = "keys.read"
    KEYS_ROTATE = "keys.rotate"
    BACKUPS_MANAGE = "backups.manage"
    USERS_MANAGE = "users.manage"
    TOKENS_MANAGE = "tokens.manage"
    JOBS_READ = "jobs.read"
    JOBS_RUN = "jobs.run"
    HEALTH_READ = "health.read"
    OUTBOX_READ = "outbox.read"
    OWN_CONSENT_READ = "own_consent.read"
    OWN_CONSENT_RECORD = "own_consent.record"
    OWN_WITHDRAWAL_RECORD = "own_withdrawal.record"


class Scope(StrEnum):
    """How far a role reaches."""

    OWN = "own"
    TEAM = "team"
    ORGANISATION = "organisation"


GUIDER = "guider"
SUPERVISOR = "supervisor"
IG_OFFICER = "ig_officer"
ADMINISTRATOR = "administrator"
PARENT = "parent"
SCHEDULED_JOB = "scheduled_job"

KNOWN_ROLES = (GUIDER, SUPERVISOR, IG_OFFICER, ADMINISTRATOR, PARENT, SCHEDULED_JOB)


@dataclass(frozen=True)
class Role:
    """What the holders of a role may do, which purposes they may state, and how far it reaches."""

    code: str
    label: str
    description: str
    scope: Scope
    permissions: frozenset[Permission]
    may_state: frozenset[str]
    needs_second_factor: bool = True

    def allows(self, permission: Permission) -> bool:
        """Tell whether this role has the verb."""
        return permission in self.permissions

    def states(self, purpose: str) -> bool:
        """Tell whether this role may watch for `purpose` (its code, without a named use)."""
        return Permission.FILM_WATCH in self.permissions and purpose in self.may_state
