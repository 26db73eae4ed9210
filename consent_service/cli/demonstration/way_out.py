"""Third part of the story: a mother withdraws, everything goes, and a certificate proves it."""

import json
import time
from functools import partial
from pathlib import Path

from consent_service.cli.demonstration.clinic import WORKER, Clinic
from consent_service.cli.demonstration.evidence import (
    copy_database,
    open_without_us,
    records_of,
    rows_of,
    run_command,
    write_public_keys,
)
from consent_service.cli.demonstration.promises import promise, refusal
from consent_service.cli.demonstration.scene import Evidence, Scene
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.erasure import OrderState
from consent_service.services import assets, certificates, erasure, key_rotation, papers, withdrawal
from consent_service.services.certificates import CertificateView
from consent_service.vault.key_providers import Assurance
from consent_service.vault.keyring_values import KeyStatus


def access_over(scene: Scene) -> Evidence:
    """The mother withdraws care: previewed first, and over for everyone when it is recorded."""
    clinic, family = scene.clinic, scene.family
    clinic.passes(hours=1)
    clinic.watches(scene.film.id)
    request = clinic.withdrawal_of(family, family.mother)
    scene.preview = withdrawal.preview(clinic.ctx, clinic.guider, request)
    wanted = {scene.film.id, scene.clip.id, scene.still.id}
    promise({line.asset for line in scene.preview.destroyed} == wanted, "the preview lacks film")
    promise(clinic.state(family.mother) is ConsentState.GIVEN, "the preview changed something")
    promise(len(scene.preview.cannot_recall) == 1, "the photo that was handed over is not named")
    began = time.perf_counter()
    scene.withdrawal = clinic.withdraws(request)
    took = time.perf_counter() - began
    clinic.passes(seconds=2)
    codes = [refusal(partial(clinic.watches, asset), "gone").code for asset in sorted(wanted)]
    promise(clinic.state(family.father) is ConsentState.GIVEN, "the father's consent ended too")
    return {
        "previewed": len(scene.preview.lines),
        "reference": scene.withdrawal.reference,
        "seconds_to_unreadable": round(took, 3),
        "watching": sorted(set(codes)),
    }


def everything_gone(scene: Scene) -> Evidence:
    """Keys, wraps and objects are gone, read back; the store holds what the database lists."""
    clinic = scene.clinic
    erasure.work(clinic.ctx, WORKER)
    order = erasure.order(clinic.ctx, clinic.officer, scene.withdrawal.erasure_order or "")
    promise(order.state is OrderState.DONE, f"the order is {order.state}")
    body = json.loads(_certificate(clinic, order.id).body)
    keys = [row["key"] for row in body["keys"]]
    status = set(clinic.ctx.keyring.status(keys).values())
    promise(status == {KeyStatus.DESTROYED}, f"keys are {status}")
    for one in assets.assets(clinic.ctx, clinic.guider, scene.family.involvement):
        promise(one.state is AssetState.ERASED and one.title is None, f"{one.kind} is {one.state}")
    stored, listed = _stored(clinic), _listed(clinic)
    promise(stored == listed, f"the store has {stored ^ listed} that the database has not, or less")
    return {"keys_destroyed": len(keys), "objects_left": len(stored), "steps": len(order.steps)}


def as_previewed(scene: Scene) -> Evidence:
    """What the certificate lists is what the preview said, line by line."""
    clinic, order = scene.clinic, scene.withdrawal.erasure_order or ""
    body = json.loads(_certificate(clinic, order).body)
    certified = {(line["asset"], line["kind"]) for line in body["destroyed"]}
    previewed = {(line.asset, line.kind) for line in scene.preview.destroyed}
    promise(certified == previewed, f"they differ in {certified ^ previewed}")
    promise(len(body["kept"]) == len(scene.preview.kept), "they differ in what is kept")
    receipt = papers.withdrawal_receipt(clinic.ctx, clinic.guider, scene.withdrawal.id)
    promise(receipt.startswith(b"%PDF"), "there is no receipt")
    return {"destroyed": len(certified), "kept": len(body["kept"]), "receipt_bytes": len(receipt)}


def records_stay(scene: Scene) -> Evidence:
    """Goals, summaries and the involvement are as they were: the care goes on."""
    after = records_of(scene.clinic.ctx.settings)
    changed = [name for name, digest in after.items() if scene.records_before[name] != digest]
    promise(not changed, f"changed: {', '.join(changed)}")
    return {"tables_compared": sorted(after)}


def opens_no_more(scene: Scene) -> Evidence:
    """The same script fails with the stolen film and every key there is now, before and after."""
    clinic = scene.clinic
    today = scene.outside / "today.sqlite3"
    _copy_keyring(clinic, today)
    before = _try_stolen(scene, today)
    promise(before is None, "the film still opens with the keys of now")
    rotated = key_rotation.rotate(clinic.ctx, clinic.staff["administrator"])
    _copy_keyring(clinic, today)
    promise(_try_stolen(scene, today) is None, "the film opens after the rotation")
    old_keyring = _try_stolen(scene, scene.stolen / "keyring.sqlite3")
    promise(old_keyring is None, "an old keyring opens with the master keys of now")
    return {
        "stolen_film_with_keys_of_now": "nothing opens it",
        "old_keyring_with_masters_of_now": "nothing opens it",
        "shards_rotated": rotated.report.shards_rotated,
        "masters_destroyed": rotated.report.old_master_versions_destroyed,
        "assurance": rotated.report.assurance,
    }


def certified(scene: Scene) -> Evidence:
    """Both revisions verify elsewhere with public keys only; a changed byte is found and named."""
    clinic, order = scene.clinic, scene.withdrawal.erasure_order or ""
    scene.public_keys, scene.certificates = scene.outside / "keys.json", scene.outside / "papers"
    scene.certificates.mkdir()
    write_public_keys(clinic.ctx.settings, scene.public_keys)
    last = _certificate(clinic, order)
    in_place = _assured(clinic)
    promise(last.revision == (2 if in_place else 1), f"the newest revision is {last.revision}")
    for revision in range(1, last.revision):
        view = certificates.certificate(clinic.ctx, clinic.officer, order, revision)
        report = certificates.verify_bundle(view.bundle(), clinic.ctx.signers.published)
        promise(report.ok, f"revision {revision} does not verify: {report.fault}")
    code, says = _verify(scene, "certificate.json", last.bundle())
    promise(code == 0, f"revision {last.revision} does not verify: {says}")
    body = json.loads(last.body)
    promise(bool(body["irrecoverable_at"]) == in_place, "it names the wrong moment beyond recovery")
    changed = last.bundle().replace(b'"kind": "clip"', b'"kind": "clap"', 1)
    code, changed_says = _verify(scene, "changed.json", changed)
    promise(code == 1 and "changed" in changed_says, f"one byte changed: {code} {changed_says}")
    others = [key for key in clinic.ctx.signers.published if key.key_id != last.key_id]
    swapped = certificates.verify_bundle(last.bundle(), others)
    promise(not swapped.ok, "it verifies with other keys")
    return {
        "revisions": last.revision,
        "irrecoverable_at": body["irrecoverable_at"],
        "one_byte_changed": changed_says.strip(),
        "key_swapped": swapped.fault,
    }


def _certificate(clinic: Clinic, order: str) -> CertificateView:
    return certificates.certificate(clinic.ctx, clinic.officer, order)


def _assured(clinic: Clinic) -> bool:
    """Tell whether this file system overwrites in place: otherwise no moment is ever certified."""
    from consent_service.vault.key_providers.file import assurance_of

    folder = clinic.ctx.settings.under_data("master")
    return assurance_of(folder) is Assurance.OVERWRITTEN


def _verify(scene: Scene, name: str, bundle: bytes) -> tuple[int, str]:
    file: Path = scene.certificates / name
    file.write_bytes(bundle)
    arguments: list[str | Path] = ["certificates", "verify", file, "--keys", scene.public_keys]
    code, _, says = run_command(arguments, scene.outside)
    return code, says


def _copy_keyring(clinic: Clinic, target: Path) -> None:
    copy_database(clinic.ctx.settings.under_data("keyring", "keyring.sqlite3"), target)


def _try_stolen(scene: Scene, keyring: Path) -> str | None:
    settings = scene.clinic.ctx.settings
    return open_without_us(
        scene.stolen / f"{scene.film.id}.1",
        scene.stolen / f"{scene.film.id}.json",
        keyring,
        [settings.under_data("master"), settings.under_data("escrow")],
    )


def _stored(clinic: Clinic) -> set[str]:
    unfinished = {one.name for one in clinic.ctx.blobs.list_unfinished()}
    return set(clinic.ctx.blobs.list()) | unfinished


def _listed(clinic: Clinic) -> set[str]:
    settings = clinic.ctx.settings
    blobs = rows_of(settings, "SELECT blob FROM asset WHERE blob IS NOT NULL")
    wrapped = rows_of(settings, "SELECT DISTINCT asset_id FROM asset_wrap")
    return {blob for (blob,) in blobs} | {f"{asset}.json" for (asset,) in wrapped}


WAY_OUT = (
    ("Mother withdraws care: previewed, access over", access_over),
    ("Keys and film gone, store equals database", everything_gone),
    ("Certificate equals preview", as_previewed),
    ("Goals, summaries and involvement unchanged", records_stay),
    ("The library alone opens nothing after", opens_no_more),
    ("Certificate verified with public keys only", certified),
)
