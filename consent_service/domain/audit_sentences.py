"""Every kind of audit event in one sentence, for the people who read the log.

Rules kept here:
  * every kind has exactly one sentence, so no act can be logged that nobody can read;
  * a part in [square brackets] is left out when a detail named in it is absent; a part outside
    brackets may name only `actor`, `subject` and `involvement`.
"""

from consent_service.domain.audit_kinds import EventKind

K = EventKind

SENTENCES: dict[EventKind, str] = {
    K.SERVICE_INITIALISED: "{actor} set up the service[, version {version}]",
    K.SERVICE_STARTED: "{actor} started the service[, version {version}]",
    K.DATABASE_UPGRADED: "{actor} brought the database to its present shape[, revision {revision}]",
    K.POLICY_PUBLISHED: (
        "{actor} published policy {subject}[, version {version}][, approved by {approver}]"
        "[, digest {digest}]"
    ),
    K.POLICY_REFUSED: "the service refused policy {subject}[ because of {reason}][, file {file}]",
    K.USER_CREATED: "{actor} created account {subject}[ with role {role}][ in team {team}]",
    K.USER_CHANGED: "{actor} changed account {subject}[: {fields}]",
    K.USER_SIGNED_IN: "account {subject} signed in[ with {method}]",
    K.USER_SIGNED_OUT: "account {subject} signed out[ because of {reason}]",
    K.USER_SIGN_IN_FAILED: "a sign-in failed[ for account {user}][ because of {reason}]",
    K.USER_DISABLED: "{actor} disabled account {subject}[ because of {reason}]",
    K.USER_ENABLED: "{actor} enabled account {subject}",
    K.USER_ROLE_CHANGED: "{actor} changed the role of account {subject}[ from {old}][ to {role}]",
    K.USER_TEAM_CHANGED: "{actor} changed the team of account {subject}[ from {old}][ to {team}]",
    K.USER_PASSWORD_CHANGED: "{actor} changed the password of account {subject}",
    K.USER_PASSWORD_RESET: "{actor} reset the password of account {subject}",
    K.USER_SECOND_FACTOR_SET: "account {subject} set up a second factor[, {method}]",
    K.USER_SECOND_FACTOR_RESET: "{actor} reset the second factor of account {subject}",
    K.USER_RECOVERY_CODE_USED: "account {subject} signed in with a recovery code",
    K.TEAM_CREATED: "{actor} created team {subject}",
    K.TOKEN_CREATED: "{actor} created token {subject}[ with role {role}][, until {until}]",
    K.TOKEN_REVOKED: "{actor} revoked token {subject}[ because of {reason}]",
    K.LINK_MADE: "{actor} made link {subject}[ of kind {link}][ for person {person}]",
    K.LINK_USED: (
        "link {subject} was opened[ by person {person}][, after {wrong_dates} wrong dates]"
    ),
    K.LINK_REFUSED: (
        "a link was not opened[: link {link}][ because of {reason}][, {counted} times so far in"
        " this hour]"
    ),
    K.LINK_REVOKED: "{actor} revoked link {subject}[ because of {reason}]",
    K.LINK_EXPIRED: "link {subject} ran out",
    K.ACCESS_REFUSED: "{actor} was refused[ {act}][ on {thing} {subject}][ because of {reason}]",
    K.BREAK_GLASS_OPENED: (
        "{actor} broke the glass to open {subject}[ because of {reason}][, until {until}]"
    ),
    K.BREAK_GLASS_CONFIRMED: "{actor} confirmed break-glass {subject}",
    K.BREAK_GLASS_CLOSED: "break-glass {subject} closed",
    K.PERSON_CREATED: "{actor} registered person {subject}[ as {role}]",
    K.PERSON_CHANGED: "{actor} changed person {subject}[: {fields}]",
    K.PERSON_VIEWED: "{actor} opened the record of person {subject}",
    K.PERSON_SEARCHED: "{actor} searched for a person[ by {fields}][, {found} found]",
    K.PERSON_DIED: "{actor} recorded the death of person {subject}[ on {on}]",
    K.PERSON_ERASED: "the row of person {subject} was erased[ under rule {rule}]",
    K.PARENTAL_RESPONSIBILITY_RECORDED: (
        "{actor} recorded parental responsibility {subject}[ of person {holder}]"
        "[ for child {child}][ on the basis {basis}]"
    ),
    K.PARENTAL_RESPONSIBILITY_ENDED: (
        "{actor} ended parental responsibility {subject}[ of person {holder}][ for child {child}]"
    ),
    K.INVOLVEMENT_STARTED: "{actor} started involvement {subject}[ with team {team}]",
    K.INVOLVEMENT_CHANGED: "{actor} changed involvement {subject}[: {fields}]",
    K.PREGNANCY_ENDED: "{actor} noted that person {subject} is not pregnant any more",
    K.INVOLVEMENT_PERSON_ADDED: (
        "{actor} added[ person {person}] to involvement {subject}[ as {role}]"
    ),
    K.INVOLVEMENT_VIEWED: "{actor} opened the page of involvement {subject}",
    K.INVOLVEMENT_ENDED: "{actor} ended involvement {subject}[ on {on}][ with outcome {outcome}]",
    K.INVOLVEMENT_REOPENED: "{actor} re-opened involvement {subject}[ because of {reason}]",
    K.INVOLVEMENT_WENT_QUIET: "involvement {subject} had no entry[ since {since}]",
    K.MEETING_RECORDED: "{actor} recorded meeting {subject}[ of kind {meeting}][ on {on}]",
    K.MEETING_CHANGED: "{actor} changed meeting {subject}[: {fields}]",
    K.GOAL_RECORDED: "{actor} recorded goal {subject}",
    K.GOAL_RATED: "{actor} recorded a rating for goal {subject}[: {rating} of 10]",
    K.SAFEGUARDING_FLAGGED: "{actor} flagged {subject} for safeguarding",
    K.SAFEGUARDING_CLEARED: "{actor} cleared the safeguarding flag of {subject}",
    K.LEAFLET_IMPORTED: "{actor} imported leaflet {subject}[, version {version}][, {status}]",
    K.LEAFLET_PUBLISHED: "{actor} published leaflet {subject}[, version {version}]",
    K.LEAFLET_ISSUED: (
        "{actor} recorded leaflet issue {subject}[, leaflet {leaflet}][, version {version}]"
        "[, given to person {person}][ on {on}][, {route}]"
    ),
    K.LEAFLET_ISSUE_REFUSED: (
        "{actor} was refused giving leaflet {subject}[, version {version},][ because of {reason}]"
        "[; the current version is {current}]"
    ),
    K.LEAFLET_RECORDED_LATE: "{actor} recorded leaflet issue {subject} late[, given on {on}]",
    K.LEAFLET_REVIEW_DUE: "leaflet {subject}[, version {version},] is due for review[ by {due}]",
    K.LEAFLET_REVIEW_ESCALATED: "the review of leaflet {subject} was escalated[ to {role}]",
    K.LEAFLET_REVIEWED: "{actor} reviewed leaflet {subject}[, outcome {outcome}]",
    K.LEAFLET_ARCHIVED: "leaflet {subject}[, version {version},] was archived[ on {on}]",
    K.LEAFLET_OVERRIDE_GRANTED: (
        "{actor} allowed leaflet {subject}[, version {version},] past its archive date"
        "[ because of {reason}][, until {until}]"
    ),
    K.LEAFLET_REISSUE_NEEDED: "leaflet {subject} needs a new issue[ because of {reason}]",
    K.FORM_PUBLISHED: "{actor} published consent form {subject}[, version {version}]",
    K.CONSENT_CAPTURED: (
        "{actor} recorded consent act {subject}[ of person {person}][ on form {form}]"
        "[, {given} yes][, {declined} no][, {route}]"
    ),
    K.CONSENT_DECLINED: "{actor} recorded a refusal, act {subject}[, of person {person}]",
    K.CONSENT_PAPER_KEPT: "{actor} kept a scan with consent act {subject}[ ({size} bytes)]",
    K.CONSENT_PAPER_VIEWED: "{actor} opened the scan kept with consent act {subject}",
    K.CONSENT_CHECKED: "{actor} checked consent act {subject} as second person",
    K.CONSENT_REVOCATION_PREVIEWED: (
        "{actor} looked at what ending consents for the organisation would do"
        "[ to person {person}][: {purposes}]"
    ),
    K.CONSENT_REVOKED: (
        "{actor} ended consents of person {subject} for the organisation[ because of {reason}]"
        "[: {purposes}][, under order {order}]"
    ),
    K.CONSENT_REVIEW_DUE: (
        "what was agreed to for person {subject} is to be looked at[ at the age of {age}]"
    ),
    K.CONSENT_INVALIDATED: "{actor} marked consent {subject} invalid[ because of {reason}]",
    K.CONSENT_EXPIRED: "consent {subject} expired[ for purpose {purpose}][ on {on}]",
    K.CONSENT_KEY_MADE: (
        "consent key {subject} was made[ for person {person}][ and purpose {purpose}]"
    ),
    K.CONSENT_KEY_DESTROYED: "consent key {subject} was destroyed[ under order {order}]",
    K.CONSENT_KEY_SEALED: "consent key {subject} was sealed[ because of {reason}]",
    K.CONSENT_KEY_UNSEALED: "consent key {subject} was brought back[ because of {reason}]",
    K.CONSENT_COPY_MADE: "{actor} made a copy of consent act {subject}[ ({digest})]",
    K.RECONSENT_ASKED: "person {subject} has to be asked again[, form {form}]",
    K.CAPACITY_RECORDED: "{actor} recorded a capacity finding for person {subject}[: {finding}]",
    K.DISPUTE_OPENED: (
        "dispute {subject} was opened[ about child {child}][ and purpose {purpose}]"
    ),
    K.DISPUTE_RESOLVED: "{actor} resolved dispute {subject}[ as {outcome}][ because of {reason}]",
    K.RECORDING_RESERVED: "{actor} began recording {subject}[, {people} people in it]",
    K.RECORDING_RECEIVED: "recording {subject} was received[, {size} bytes][, digest {digest}]",
    K.RECORDING_STORED: "recording {subject} was stored encrypted[, digest {digest}]",
    K.RECORDING_REFUSED: "{actor} was refused a recording[, {reason}][; missing: {missing}]",
    K.RECORDING_ABANDONED: "recording {subject} was never finished and is to be erased",
    K.RECORDING_ERASED: "recording {subject} was erased[ under order {order}]",
    K.CLIP_MADE: "{actor} made clip {subject}[ from {source}]",
    K.CLIP_ERASED: "clip {subject} was erased[ under order {order}]",
    K.STILL_MADE: "{actor} took still {subject}[ from {source}]",
    K.STILL_ERASED: "still {subject} was erased[ under order {order}]",
    K.ASSET_DESCRIBED: "{actor} changed the words about clip or still {subject}[: {fields}]",
    K.ASSET_AWAITING_CONSENT: "film {subject} waits for consent[ of {people}][, until {until}]",
    K.ASSET_LOCKED: "film {subject} was locked[ under order {order}]",
    K.ASSET_UNLOCKED: "film {subject} was unlocked[ because of {reason}]",
    K.ASSET_RESTRICTED: "film {subject} was restricted[ because of {reason}]",
    K.ASSET_CLASS_CHANGED: "the class of film {subject} changed[ from {old}][ to {new}]",
    K.ASSET_WRAPS_CHANGED: "what film {subject} may be opened for changed[: {purposes}]",
    K.DEPICTED_ADDED: "{actor} recorded[ person {person}] as seen or heard in film {subject}",
    K.DEPICTED_REMOVAL_ASKED: (
        "{actor} asked to record[ person {person}] as not seen or heard in film {subject}"
        "[ because of {reason}]"
    ),
    K.DEPICTED_REMOVED: (
        "{actor} confirmed[ person {person}] as not seen or heard in film {subject}"
        "[ because of {reason}]"
    ),
    K.FILM_VIEWED: "{actor} watched film {subject}[ for {purpose}]",
    K.FILM_VIEW_REFUSED: (
        "{actor} was refused film {subject}[ for {purpose}][ because of {reason}]"
    ),
    K.REVIEW_RECORDED: "{actor} recorded shared review {subject}",
    K.SUMMARY_DRAFTED: "{actor} drafted summary {subject}",
    K.SUMMARY_FILED: "{actor} filed summary {subject}",
    K.HANDOVER_OFFERED: "{actor} offered photos, handover {subject}[, {stills} stills]",
    K.HANDOVER_ACCEPTED: "photos of handover {subject} were accepted[: {stills}]",
    K.HANDOVER_DECLINED: "photos of handover {subject} were declined[: {stills}]",
    K.HANDOVER_RECEIPT_MADE: "a receipt for handover {subject} was made[ ({digest})]",
    K.FEEDBACK_RECORDED: "{actor} recorded feedback {subject}",
    K.FEEDBACK_ANONYMISED: "feedback {subject} was made anonymous[ under rule {rule}]",
    K.QUOTE_PERMITTED: (
        "{actor} recorded permission for quote {subject}[ for {audience}][, until {until}]"
    ),
    K.QUOTE_WITHDRAWN: "{actor} recorded the end of permission for quote {subject}",
    K.DISCLOSURE_RECORDED: (
        "{actor} recorded disclosure {subject}[ of {assets}][ for {purpose}][, until {until}]"
    ),
    K.DISCLOSURE_TAKEN_BACK: "{actor} recorded that disclosure {subject} was taken back",
    K.WITHDRAWAL_PREVIEWED: "{actor} previewed a withdrawal[ of person {person}][, {scope}]",
    K.WITHDRAWAL_RECORDED: (
        "{actor} recorded withdrawal {subject}[ of person {person}][, scope {scope}]"
        "[, purposes {purposes}][, {when}][, order {order}]"
    ),
    K.WITHDRAWAL_CANCELLED: "{actor} cancelled withdrawal {subject}[, order {order}]",
    K.WITHDRAWAL_RECEIPT_MADE: "a receipt for withdrawal {subject} was made[ ({digest})]",
    K.ERASURE_ORDERED: "{actor} ordered erasure {subject}[ because of {reason}][, {scope}]",
    K.ERASURE_STEP_STARTED: "erasure step {subject}[ ({step})][ of order {order}] started",
    K.ERASURE_STEP_DONE: "erasure step {subject}[ ({step})][ of order {order}] was done",
    K.ERASURE_STEP_FAILED: (
        "erasure step {subject}[ ({step})][ of order {order}] failed[ with {reason}]"
        "[, attempt {attempt}]"
    ),
    K.ERASURE_STEP_BLOCKED: (
        "erasure step {subject}[ ({step})][ of order {order}] is blocked[ by {reason}]"
    ),
    K.ERASURE_READ_BACK: "order {subject} was read back[: {gone} gone][, {kept} kept]",
    K.ERASURE_COMPLETED: "order {subject} was completed",
    K.CERTIFICATE_ISSUED: (
        "certificate {subject} was issued[, revision {revision}][, order {order}]"
        "[, digest {digest}]"
    ),
    K.CERTIFICATE_FETCHED: "{actor} fetched certificate {subject}",
    K.HOLD_PLACED: "{actor} placed hold {subject}[ of kind {hold}][ on {things}]",
    K.HOLD_REFUSED: "{actor} placed a hold too late[ on {assets}][, {reason}]",
    K.HOLD_RELEASE_ASKED: "{actor} asked to release hold {subject}",
    K.HOLD_RELEASED: "{actor} released hold {subject}[, asked by {asked_by}]",
    K.RETENTION_PLANNED: "{actor} planned retention[ on {on}][: {due} due][, {queued} for review]",
    K.RETENTION_RUN: (
        "{actor} ran retention[ on {on}][: {destroyed} ordered destroyed][, {queued} queued]"
        "[, {kept} kept]"
    ),
    K.RETENTION_REFUSED: "retention was stopped[ because of {reason}][; {due} were due]",
    K.RETENTION_RECOMPUTED: "due dates of {subject} were recomputed[ because of {reason}]",
    K.DISPOSITION_QUEUED: "asset {subject} was put up for disposition review[ under rule {rule}]",
    K.DISPOSITION_DECIDED: (
        "{actor} decided disposition {subject}[: {decision}][ because of {reason}]"
    ),
    K.APPRAISAL_PROPOSED: "{actor} proposed appraisal {subject}[ for {classes}]",
    K.APPRAISAL_APPROVED: "{actor} approved appraisal {subject}[, until {until}]",
    K.APPRAISAL_REVOKED: "{actor} revoked appraisal {subject}[ because of {reason}]",
    K.APPRAISAL_EXPIRED: "appraisal {subject} expired[ on {on}]",
    K.KEYS_ROTATION_STARTED: "{actor} started a key rotation[, {dirty} dirty shards]",
    K.KEYS_ROTATED: "{actor} rotated keys[, {shards} shards][, master version {version}]",
    K.KEYS_BACKED_UP: "{actor} made key backup {subject}[, until {until}]",
    K.KEYS_BACKUP_EXPIRED: "key backup {subject} is gone",
    K.KEYS_RESTORED: "{actor} restored keys[: {restored} came back][, {refused} were refused]",
    K.KEYS_SIGNING_CHANGED: "{actor} changed the signing key[ of the {use}][ to {key}]",
    K.MASTER_DESTROYED: ("master version[ {version}] was destroyed[, {assurance}][ by {provider}]"),
    K.JOURNAL_REPLAYED: "the journal was replayed[: {lines} lines][, {acts} acts restored]",
    K.JOURNAL_BROKEN: (
        "the journal could not be trusted[: {reason}][, line {line}]; nothing was destroyed"
    ),
    K.JOURNAL_WHOLE: "the journal was found whole again",
    K.RESTORE_FOUND: "a restored backup was found[: journal at {journal}][, database at {size}]",
    K.LOG_EPOCH_STARTED: (
        "log epoch[ {epoch}] started after a restore[; epoch {previous_epoch} had ended at"
        " {previous_size} with root {previous_root}]"
        "[; the database holds epoch {kept_epoch} up to {kept_size}]"
    ),
    K.BACKUP_MADE: "{actor} made backup {subject}[, digest {digest}]",
    K.BACKUP_VERIFIED: "{actor} verified backup {subject}[: {outcome}]",
    K.BACKUP_DRILLED: "{actor} ran a restore drill[: {outcome}]",
    K.BACKUP_EXPIRED: "backup {subject} is gone[ under rule {rule}]",
    K.SCHEDULE_FIRED: "schedule {subject} fired[ for {fire_at}]",
    K.JOB_RUN: "{actor} ran job {subject}[: {outcome}]",
    K.JOB_FAILED: "job {subject} failed[ with {reason}][, attempt {attempt}]",
    K.RECONCILE_REPORTED: (
        "reconciliation compared stores, ledger and keys[: {findings} findings]"
        "[, {confirmed} unknown things went as {actor} confirmed]"
    ),
    K.CLOCK_PAUSED: (
        "automatic destruction was paused because the clock jumped[ by {seconds} seconds]"
    ),
    K.CLOCK_CONFIRMED: "{actor} confirmed the clock[ at {confirmed_at}]",
    K.NOTICE_QUEUED: "notice {subject} was queued[ of kind {notice}]",
    K.NOTICE_SENT: "notice {subject} was sent[ by {sender}]",
    K.NOTICE_FAILED: "notice {subject} could not be sent[ because of {reason}]",
    K.AUDIT_SEARCHED: "{actor} searched the audit log[ by {fields}]",
    K.AUDIT_EXPORTED: "{actor} exported the audit log[, {entries} entries]",
    K.AUDIT_VERIFIED: "{actor} verified the audit log[, {entries} entries][: {outcome}]",
    K.EXPORT_MADE: "{actor} made export {subject}[ of kind {export}][, until {until}]",
    K.EXPORT_FETCHED: "{actor} fetched export {subject}",
    K.EXPORT_EXPIRED: "export {subject} is gone",
    K.SUBJECT_ACCESS_OPENED: "{actor} opened subject access request {subject}[, due {due}]",
    K.SUBJECT_ACCESS_PREPARED: "{actor} prepared the file of subject access request {subject}",
    K.SUBJECT_ACCESS_ANSWERED: "{actor} answered subject access request {subject}[ on {on}]",
    K.SUBJECT_ACCESS_APPEALED: "subject access request {subject} was appealed[ on {on}]",
    K.SUBJECT_ACCESS_CLOSED: "{actor} closed subject access request {subject}[: {outcome}]",
    K.RECORDS_READ: "{actor} read records of {subject} over FHIR[: {found} of kind {records}]",
}
