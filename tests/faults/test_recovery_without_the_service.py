"""`docs/security/recover.py` opens film with the service stopped; after the end of consent it fails.

It is the independent witness of "gone": it imports nothing of ours and tries every key there is.
"""

import ast
import json
import shutil
from pathlib import Path

import pytest

from consent_service.services import erasure, key_rotation, withdrawal
from consent_service.services.access import job_caller
from tests.faults import story as stories
from tests.support.installation import close, copy_sqlite, opened_anew
from tests.support.recovery import FILES, digest_of, keys_left, opens, recipe, recover, sentence

KEYRING = Path("keyring", "keyring.sqlite3")


def test_the_recipe_imports_nothing_of_ours() -> None:
    """A witness that asks the accused proves nothing."""
    imported = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))

    assert {"cryptography.cobblestone", "recover_keys", "recover_openbao"} <= imported
    assert [
        name for name in imported if name.startswith(("consent_service", "tests", "None"))
    ] == []


def test_what_a_script_could_open_before_no_key_opens_after(tmp_path: Path) -> None:
    """Blob, sidecar, keyring and master key are all kept by somebody; together they open nothing."""
    folder, kept = tmp_path / "data", tmp_path / "kept"
    told = stories.begin(folder)
    assert opens(recover(folder, told.film, "care"), digest_of(told))
    shutil.copytree(folder / "film", kept / "film")
    with opened_anew(told.clinic) as clinic:
        withdrawal.withdraw(clinic.ctx, clinic.guider, stories.everything(told))
        erasure.work(clinic.ctx, "worker")
    for name in ("keyring", "master", "escrow"):
        shutil.copytree(folder / name, kept / name)

    after = recover(kept, told.film, "care")

    assert "gone" in sentence(after, 1)
    sidecar = json.loads((kept / "film" / told.film[:2] / f"{told.film}.json").read_bytes())
    left = keys_left(kept / KEYRING, kept / "master", kept / "escrow")
    assert left, "the recipe must still open the keys of others"
    assert _no_key_opens(sidecar, left)


def test_after_a_rotation_a_copy_of_the_keyring_opens_nothing_either(tmp_path: Path) -> None:
    """Somebody kept the keyring from before the withdrawal: the master it needs is gone."""
    folder, kept = tmp_path / "data", tmp_path / "kept"
    told = stories.begin(folder)
    shutil.copytree(folder / "film", kept / "film")
    (kept / "keyring").mkdir()
    copy_sqlite(folder / KEYRING, kept / KEYRING)
    with opened_anew(told.clinic) as clinic:
        withdrawal.withdraw(clinic.ctx, clinic.guider, stories.everything(told))
        erasure.work(clinic.ctx, "worker")
    for name in ("master", "escrow"):
        shutil.copytree(folder / name, kept / name)
    still = recover(kept, told.film, "care")
    assert still.returncode == 0, "a deleted key alone is not gone everywhere"

    with opened_anew(told.clinic) as clinic:
        key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))
    for name in ("master", "escrow"):
        shutil.rmtree(kept / name)
        shutil.copytree(folder / name, kept / name)

    assert "gone" in sentence(recover(kept, told.film, "care"), 1)
    assert keys_left(kept / KEYRING, kept / "master", kept / "escrow") == {}
    close(told.clinic)


def _no_key_opens(sidecar: dict[str, object], left: dict[str, bytes]) -> bool:
    """Try every key that is left in the place of those that the wrap asks for."""
    loaded = recipe()
    wraps: list[dict[str, object]] = sidecar["wraps"]  # type: ignore[assignment]
    gone = {key for wrap in wraps for key in [*wrap["keys"], sidecar["asset_key"]]} - left.keys()  # type: ignore[misc]
    assert gone
    for secret in left.values():
        tried = left | {str(key): secret for key in gone}
        with pytest.raises(loaded.Gone):
            loaded.data_key(sidecar, "care", tried)
    return True
