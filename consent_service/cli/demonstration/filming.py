"""Second part of the story: film in and out, clips, stills, the review, and photos to keep."""

import hashlib
from dataclasses import replace

from consent_service import media
from consent_service.cli.demonstration.clinic import WORKER
from consent_service.cli.demonstration.evidence import (
    open_without_us,
    pieces_of,
    records_of,
    rows_of,
    search_with_marker,
    steal,
)
from consent_service.cli.demonstration.promises import promise, refusal
from consent_service.cli.demonstration.scene import Evidence, Scene
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.people import MeetingKind, MeetingMode
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.media.sample import PHONE_METADATA, make_sample_film
from consent_service.services import (
    assets,
    cutting,
    erasure,
    handovers,
    involvements,
    papers,
    reviews,
    viewing,
)

TRAINING = "training-local"
METADATA = tuple(PHONE_METADATA[name].encode() for name in ("location", "make", "model"))


class MemoryFilm:
    """A film in memory, for the film worker to read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        return self._content[offset : offset + length]


def film_stored(scene: Scene) -> Evidence:
    """A real film goes in; what is served has the stored digest, every packet, no metadata."""
    clinic, family = scene.clinic, scene.family
    meeting = involvements.MeetingDetails(
        family.involvement,
        MeetingKind.FILMING,
        MeetingMode.HOME,
        clinic.today,
        family.everyone,
        ready_today=True,
    )
    involvements.record_meeting(clinic.ctx, clinic.guider, meeting)
    upload = scene.upload = make_sample_film(6, (640, 360), metadata=PHONE_METADATA)
    promise(all(word in upload for word in METADATA), "the upload has nothing to lose")
    film = scene.film = clinic.films(family, upload, "Bath time")
    served = clinic.watches(film.id)
    received = hashlib.sha256(upload).hexdigest()
    promise(film.state is AssetState.STORED, f"the film is {film.state}")
    promise(hashlib.sha256(served).hexdigest() == film.sha256, "served bytes have another digest")
    promise(film.received_sha256 == received != film.sha256, "the upload is served as received")
    promise(not any(word in served for word in METADATA), "place, make or model is still there")
    same = media.packet_digest(MemoryFilm(upload)) == media.packet_digest(MemoryFilm(served))
    promise(same, "picture or sound was changed")
    names = sorted(clinic.ctx.blobs.list(film.id))
    promise(names == [f"{film.id}.1", f"{film.id}.json"], f"the store holds {names}")
    return {"sha256": film.sha256, "received_sha256": received, "bytes": len(served)}


def other_uploads(scene: Scene) -> Evidence:
    """A WebM goes in as well; a text file called film is refused and leaves nothing."""
    clinic, family = scene.clinic, scene.family
    before = set(clinic.ctx.blobs.list())
    fault = refusal(lambda: clinic.films(family, b"Dear diary,\n" * 5000, "Notes"), "not_a_film")
    promise(set(clinic.ctx.blobs.list()) == before, "something of it was kept")
    promise(not list(clinic.ctx.blobs.list_unfinished()), "something of it is unfinished")
    webm = clinic.films(family, make_sample_film(2, container="webm"), "On the sofa")
    served = clinic.watches(webm.id)
    promise(hashlib.sha256(served).hexdigest() == webm.sha256, "the WebM has another digest")
    withdrawn = replace(
        clinic.withdrawal_of(family, family.father),
        scope=WithdrawalScope.ASSETS,
        assets=(webm.id,),
    )
    clinic.withdraws(withdrawn)
    erasure.work(clinic.ctx, WORKER)
    promise(set(clinic.ctx.blobs.list()) == before, "the film named did not go alone")
    clinic.watches(scene.film.id)
    return {"text_file": fault.code, "webm_bytes": len(served), "one_film_withdrawn": "gone alone"}


def no_plaintext(scene: Scene) -> Evidence:
    """Neither upload nor playback reached a file; the search first finds a planted piece."""
    served = scene.clinic.watches(scene.film.id)
    wanted = [*pieces_of(scene.upload), *pieces_of(served)]
    found = search_with_marker(scene.folder, wanted)
    promise(not found, f"plaintext in {', '.join(found)}")
    return {"pieces_searched_for": len(wanted), "planted_found": True, "found": found}


def ranges(scene: Scene) -> Evidence:
    """Ranges are parts of the whole; one viewing is one audit entry, and a purpose is needed."""
    clinic, asset = scene.clinic, scene.film.id
    clinic.passes(minutes=16)
    before = _viewings(scene)
    with viewing.open_film(clinic.ctx, clinic.guider, asset, "care") as film:
        whole = b"".join(film.iter_range(0, film.size))
        size = film.size
        cuts = ((0, 1), (16_383, 16_385), (size // 3, size // 2), (size - 7, size))
        for start, end in cuts:
            part = b"".join(film.iter_range(start, end))
            promise(part == whole[start:end], f"range {start}-{end} is another part")
        fault = refusal(lambda: film.iter_range(size, size + 1), "range_invalid")
    clinic.watches(asset)
    promise(_viewings(scene) == before + 1, "one viewing is not one entry")
    refused = refusal(lambda: clinic.watches(asset, "research:study-1"), "consent_missing", "role")
    return {"ranges": len(cuts), "entries": 1, "outside": fault.code, "other_purpose": refused.code}


def clip_and_still(scene: Scene) -> Evidence:
    """A clip and a still are encrypted objects of their own with their own end."""
    clinic, film = scene.clinic, scene.film
    make = cutting.MakeClip(film.id, 1000, 3000, "She looks up", "He waits for her")
    clip = scene.clip = cutting.clip(clinic.ctx, clinic.guider, make)
    still = scene.still = cutting.still(
        clinic.ctx, clinic.guider, cutting.MakeStill(film.id, 2500, "The smile")
    )
    picture = clinic.watches(still.id)
    promise(picture[:2] == b"\xff\xd8" and b"Exif" not in picture[:64], "no plain JPEG")
    promise(len(clinic.watches(clip.id)) == clip.size, "the clip is not whole")
    promise({clip.source, still.source} == {film.id}, "their source is another film")
    return {"clip_ms": [clip.start_ms, clip.end_ms], "still_bytes": len(picture)}


def review(scene: Scene) -> Evidence:
    """Goal, shared review and summary: the durable record, filed."""
    clinic, family = scene.clinic, scene.family
    ctx, guider = clinic.ctx, clinic.guider
    goal = reviews.record_goal(
        ctx, guider, family.involvement, family.mother, "To notice when she wants a pause"
    )
    reviews.rate_goal(ctx, guider, goal.id, clinic.today, 4)
    held = reviews.record_review(
        ctx,
        guider,
        reviews.RecordReview(family.involvement, scene.film.id, clinic.today, (scene.clip.id,)),
    )
    written = reviews.write_summary(
        ctx,
        guider,
        reviews.WriteSummary(held.id, "You wait for her.", "Name what she does.", "Film a meal"),
    )
    filed = reviews.file_summary(ctx, guider, written.id)
    promise(filed.filed_at is not None, "the summary is not filed")
    rewrite = reviews.WriteSummary(held.id, "Other words.", "Other points.")
    fault = refusal(lambda: reviews.write_summary(ctx, guider, rewrite), "already_filed")
    pdf = papers.summary_paper(ctx, guider, filed.id)
    return {"filed_at": filed.filed_at, "rewriting": fault.code, "pdf_bytes": len(pdf)}


def photo_kept(scene: Scene) -> Evidence:
    """A photo is offered, taken, and receipted; what was said of it is kept."""
    clinic, family = scene.clinic, scene.family
    offered = handovers.offer(
        clinic.ctx, clinic.guider, family.involvement, family.mother, (scene.still.id,)
    )
    closed = handovers.decide(clinic.ctx, clinic.guider, offered.id, (scene.still.id,), "print")
    promise(closed.items == {scene.still.id: handovers.ACCEPTED}, f"outcome {closed.items}")
    receipt = papers.handover_receipt(clinic.ctx, clinic.guider, closed.id)
    promise(receipt.startswith(b"%PDF"), "the receipt is no PDF")
    return {"photos": len(closed.items), "receipt_bytes": len(receipt)}


def training_withdrawn(scene: Scene) -> Evidence:
    """The mother ends teaching only: care still plays, teaching does not."""
    clinic, family = scene.clinic, scene.family
    clinic.passes(hours=1)
    clip = scene.clip.id
    promise(TRAINING in _purposes(scene), "teaching was never permitted")
    request = clinic.withdrawal_of(family, family.mother, None, Speed.NOW, (TRAINING,))
    clinic.withdraws(request)
    erasure.work(clinic.ctx, WORKER)
    promise(len(clinic.watches(clip)) == scene.clip.size, "care does not play any more")
    promise(TRAINING not in _purposes(scene), "teaching is still permitted")
    fault = refusal(lambda: clinic.watches(clip, TRAINING), "gone", "consent_missing", "role")
    return {"care": "plays", TRAINING: fault.code, "purposes": sorted(_purposes(scene))}


def opens_before(scene: Scene) -> Evidence:
    """With the service stopped, the library alone opens the film: from blob, keyring and keys."""
    clinic = scene.clinic
    names = sorted(clinic.ctx.blobs.list(scene.film.id))
    scene.stolen = scene.outside / "stolen"
    scene.records_before = records_of(clinic.ctx.settings)
    clinic.close()
    steal(clinic.ctx.settings, names, scene.stolen)
    sha256 = open_without_us(
        scene.stolen / f"{scene.film.id}.1",
        scene.stolen / f"{scene.film.id}.json",
        scene.stolen / "keyring.sqlite3",
        [scene.stolen / "master", scene.stolen / "escrow"],
    )
    scene.clinic = clinic.reopened()
    promise(sha256 == scene.film.sha256, "the script does not open the film")
    return {"opened_sha256": sha256}


def _viewings(scene: Scene) -> int:
    counted = "SELECT count(*) FROM audit_entry WHERE kind = ?"
    rows = rows_of(scene.clinic.ctx.settings, counted, EventKind.FILM_VIEWED.value)
    return int(rows[0][0])


def _purposes(scene: Scene) -> tuple[str, ...]:
    return assets.asset(scene.clinic.ctx, scene.clinic.guider, scene.clip.id).purposes


FILMING = (
    ("Film stored: digest, packets, no metadata", film_stored),
    ("A WebM goes in, a text file does not, one film goes alone", other_uploads),
    ("No plaintext on disk", no_plaintext),
    ("Played by range under a purpose, one audit entry", ranges),
    ("A clip and a still", clip_and_still),
    ("Reviewed together, summary filed", review),
    ("Photo handed over with a receipt", photo_kept),
    ("Teaching withdrawn, care still plays", training_withdrawn),
    ("The library alone opens the film before", opens_before),
)
