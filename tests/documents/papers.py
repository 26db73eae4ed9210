"""One filled-in paper of each kind, about invented people."""

import hashlib
import math
from datetime import UTC, date, datetime

from consent_service.documents.content import (
    AnsweredStatement,
    ConcernedPerson,
    ConsentCopy,
    DestroyedLine,
    DestructionCertificate,
    GoalLine,
    HandoverReceipt,
    Inventory,
    InventoryLine,
    KeptLine,
    LeafletPaper,
    Letterhead,
    Paper,
    PhotoLine,
    RevocationReceipt,
    Seal,
    Signed,
    SummaryPaper,
    ThreeTimes,
    WithdrawalReceipt,
)
from consent_service.documents.signature import signature_svg

IDENTIFIER = "0af3c9d2e85b41769d0c2b7a6e5f4d31"
AT = datetime(2026, 9, 14, 14, 5, tzinfo=UTC)
HEAD = Letterhead(
    organisation="Northmoor Perinatal Service",
    team="Parent and baby team, Larkfield",
    contact="Telephone 01632 960 117, Monday to Friday, 9am to 5pm, or tell your guider",
    reference="CA-7F3K-22",
)

SHOWN = (
    "I have been given the leaflet about video interaction guidance, and my questions were answered.",
    "I know that I can stop at any time, without a reason, and that my care stays the same.",
    "I agree to being filmed for a few minutes with my baby.",
    "I agree that my baby is filmed for a few minutes with me.",
    "I agree that my guider shows short clips to their supervisor, so that they can learn.",
    "I agree that the named study below uses my clips.",
)
SHOWN_TEXT = "\n\n".join(("vig, 1, en", *SHOWN)) + "\n"


def strokes() -> list[list[dict[str, float]]]:
    """Return a made-up scrawl: two strokes as signature_pad sends them."""
    wave = [
        {"x": 20 + i * 3.1, "y": 60 + 26 * math.sin(i / 4) * math.cos(i / 17), "time": i}
        for i in range(70)
    ]
    return [wave, [{"x": 40, "y": 92}, {"x": 120, "y": 84}, {"x": 215, "y": 90}]]


def consent_copy(**changes: object) -> ConsentCopy:
    """Return the copy of a consent for a parent and her baby."""
    values = {
        "head": HEAD,
        "made_at": AT,
        "form_title": "Consent to video interaction guidance",
        "form_control_line": "vig, version 1, English",
        "leaflet_title": "What is video interaction guidance?",
        "leaflet_control_line": "L1111, V2, 01/06/2026 (Archive: 01/06/2029)",
        "leaflet_given_on": date(2026, 9, 7),
        "given_by": "Rowan Testcase",
        "for_people": (ConcernedPerson(name="Wren Testcase", basis="birth mother"),),
        "statements": (
            AnsweredStatement(group="What I understand", words=SHOWN[0], answer="Confirmed"),
            AnsweredStatement(group="What I understand", words=SHOWN[1], answer="Confirmed"),
            AnsweredStatement(
                group="Needed for video interaction guidance",
                about="you",
                words=SHOWN[2],
                answer="Yes",
            ),
            AnsweredStatement(
                group="Needed for video interaction guidance",
                about="Wren Testcase",
                words=SHOWN[3],
                answer="Yes",
            ),
            AnsweredStatement(
                group="Up to you",
                about="you",
                words=SHOWN[4],
                answer="No",
            ),
            AnsweredStatement(
                group="Up to you",
                about="you",
                words=SHOWN[5],
                answer="Yes",
                named=("Tuning in, 2026 to 2028",),
                own_words="Only the clips from the first meeting, please.",
            ),
        ),
        "shown_text": SHOWN_TEXT,
        "shown_sha256": hashlib.sha256(SHOWN_TEXT.encode()).hexdigest(),
        "how_to_withdraw": (
            "Tell your guider or anyone in the team, telephone us, or use your own secure link.",
            "You can withdraw everything, some uses, or one film.",
        ),
        "signed": Signed(
            name="Rowan Testcase", manner="Signed on screen", drawing=signature_svg(strokes())
        ),
        "route": "In person",
        "recorded_by": "Guider",
        "recorded_at": AT,
        "interpreter": "",
        "witness": "",
        "capacity": "No reason to doubt",
    }
    return ConsentCopy(**{**values, **changes})  # type: ignore[arg-type]


def withdrawal_receipt(**changes: object) -> WithdrawalReceipt:
    """Return the receipt for a withdrawal with an undo window, one thing kept."""
    values = {
        "head": HEAD,
        "made_at": AT,
        "withdrawn_by": "Rowan Testcase",
        "for_people": (ConcernedPerson(name="Wren Testcase", basis="birth mother"),),
        "route": "In person, recorded by your guider",
        "effective_from": AT,
        "ended": (
            "Filming and watching together",
            "Showing clips to a supervisor",
            "Use in the study “Tuning in, 2026 to 2028”",
        ),
        "destroyed": (
            DestroyedLine(what="2 films, recorded on 9 September 2026", gone_by=date(2026, 10, 12)),
            DestroyedLine(what="5 clips made from them", gone_by=date(2026, 10, 12)),
            DestroyedLine(what="3 photos not yet handed over", gone_by=date(2026, 10, 12)),
        ),
        "kept": (
            KeptLine(
                what="The written summary of 9 September 2026",
                ground="Part of the health record",
                until="Until the record's own time ends",
            ),
        ),
        "cannot_recall": (
            "1 photo that was handed to you on 10 September 2026",
            "What your guider learned in supervision on 11 September 2026",
        ),
        "undo_until": datetime(2026, 9, 21, 14, 5, tzinfo=UTC),
    }
    return WithdrawalReceipt(**{**values, **changes})  # type: ignore[arg-type]


def revocation_receipt(**changes: object) -> RevocationReceipt:
    """Return the paper about a consent that the organisation ended, one thing kept."""
    values = {
        "head": HEAD,
        "made_at": AT,
        "for_people": (ConcernedPerson(name="Wren Testcase", basis="birth mother"),),
        "ended": ("Use in the study “Tuning in, 2026 to 2028”",),
        "reason": "The study closed early",
        "destroyed": (DestroyedLine(what="5 clips", gone_by=date(2026, 10, 12)),),
        "kept": (KeptLine(what="2 films", ground="You still agree to another use"),),
        "cannot_recall": ("1 photo that was handed to you on 10 September 2026",),
    }
    return RevocationReceipt(**{**values, **changes})  # type: ignore[arg-type]


def handover_receipt() -> HandoverReceipt:
    """Return the receipt for three photos, one of them declined."""
    return HandoverReceipt(
        head=HEAD,
        made_at=AT,
        given_to="Rowan Testcase",
        given_by="Guider, Parent and baby team",
        photos=(
            PhotoLine(title="Looking at each other", decision="Accepted", given_as="Printed photo"),
            PhotoLine(title="The first smile", decision="Accepted", given_as="File by secure link"),
            PhotoLine(title="Bath time", decision="Declined"),
        ),
        next_steps=("Our own copies are destroyed by 14 October 2026.",),
    )


def certificate(rows: int = 3) -> DestructionCertificate:
    """Return a certificate with `rows` things destroyed."""
    body = '{"order":"0af3c9d2e85b41769d0c2b7a6e5f4d31","revision":2}'
    return DestructionCertificate(
        head=HEAD,
        made_at=AT,
        order=IDENTIFIER,
        reason="Consent withdrawn by the person",
        scope=("One involvement", "Purposes: care, supervision"),
        revision=2,
        previous_sha256=hashlib.sha256(b"one").hexdigest(),
        inventory=Inventory(
            total=rows,
            lines=tuple(
                InventoryLine(
                    id=hashlib.sha256(str(number).encode()).hexdigest()[:32],
                    record_class="transitory",
                    what="Clip" if number else "Recording",
                    key_destroyed_at=AT,
                    content_gone_at=AT,
                )
                for number in range(rows)
            ),
        ),
        kept=(KeptLine(what="1 recording", ground="Held: complaint", until="Release of the hold"),),
        times=ThreeTimes(access_ended_at=AT, key_destroyed_at=AT, irrecoverable_at=None),
        not_covered=(
            "Disk snapshots made outside this service",
            "Photos and bundles that were handed over",
        ),
        seal=Seal(
            key_id="certificates-2026-1",
            signature="MEUCIQDx" * 11,
            sha256=hashlib.sha256(body.encode()).hexdigest(),
        ),
        body=body,
    )


RATED = ((date(2026, 7, 6), 4), (date(2026, 8, 10), 6), (date(2026, 9, 14), 7))


def summary() -> SummaryPaper:
    """Return a filed summary."""
    return SummaryPaper(
        head=HEAD,
        made_at=AT,
        people=("Rowan Testcase", "Wren Testcase"),
        guider="Sam Sample",
        met_on=date(2026, 9, 14),
        goals=(
            GoalLine(words="I hope to get to know my baby more", ratings=RATED),
            GoalLine(
                words="I want to trust myself when Wren cries", ratings=((date(2026, 7, 6), 3),)
            ),
        ),
        strengths=("You waited, and Wren turned to you.", "You named what Wren was looking at."),
        points=("Give Wren time to answer before you speak again.",),
        next_step="We film again on 28 September, at home, after the morning feed.",
        filed_at=AT,
    )


CONTROL_LINE = "L1111, V2, 01/06/2026 (Archive: 01/06/2029)"
LEAFLET_TEXT = f"""# What is video interaction guidance?

You and your baby are already talking to each other: with looks, sounds and small
movements. Video interaction guidance helps you see it.

## What will happen?

You meet a guider. Together you decide what matters to you.

- A few minutes of film, when you feel ready
- Time for your questions
- You can stop at any time

## Who can see the film?

Only you and your guider, unless you agree to more.

{CONTROL_LINE}
"""


def leaflet(text: str = LEAFLET_TEXT) -> LeafletPaper:
    """Return a leaflet in our own words."""
    return LeafletPaper(
        head=HEAD,
        made_at=AT,
        text=text,
        control_line=CONTROL_LINE,
        sources=("National Institute for Health and Care Excellence, guideline NG194",),
    )


def all_papers() -> list[Paper]:
    """Return one paper of each kind."""
    return [
        consent_copy(),
        withdrawal_receipt(),
        revocation_receipt(),
        handover_receipt(),
        certificate(),
        summary(),
        leaflet(),
    ]
