"""`docs/security/recover.py` opens film with the service stopped; after the end of consent it fails.

It is the independent witness of "gone": it imports nothing of ours and tries every key there is.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from consent_service.services import assets, erasure, key_rotation, withdrawal
from consent_service.services.access import job_caller
from tests.faults import story as stories
from tests.support.installation import close, copy_sqlite, opened_anew

RECIPE = Path(__file__).parents[2] / "docs" / "security" / "recover.py"


def _recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recover", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _recover(folder: Path, asset: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", RECIPE, folder, asset, "care"]
    return subprocess.run(command, capture_output=True, check=False)


def test_what_a_script_could_open_before_no_key_opens_after(tmp_path: Path) -> None:
    """Blob, sidecar, keyring and master key are all kept by somebody; together they open nothing."""
    folder, kept = tmp_path / "data", tmp_path / "kept"
    told = stories.begin(folder)
    with opened_anew(told.clinic) as clinic:
        expected = assets.asset(clinic.ctx, clinic.guider, told.film).sha256
    before = _recover(folder, told.film)
    assert hashlib.sha256(before.stdout).hexdigest() == expected, before.stderr
    shutil.copytree(folder / "film", kept / "film")
    with opened_anew(told.clinic) as clinic:
        withdrawal.withdraw(clinic.ctx, clinic.guider, stories.everything(told))
        erasure.work(clinic.ctx, "worker")
    for name in ("keyring", "master", "escrow"):
        shutil.copytree(folder / name, kept / name)

    after = _recover(kept, told.film)

    assert after.returncode != 0
    assert after.stdout == b""
    sidecar = json.loads((kept / "film" / told.film[:2] / f"{told.film}.json").read_bytes())
    left = _recipe().every_key(kept)
    assert left, "the recipe must still open the keys of others"
    assert _no_key_opens(sidecar, left)


def test_after_a_rotation_a_copy_of_the_keyring_opens_nothing_either(tmp_path: Path) -> None:
    """Somebody kept the keyring from before the withdrawal: the master it needs is gone."""
    folder, kept = tmp_path / "data", tmp_path / "kept"
    told = stories.begin(folder)
    shutil.copytree(folder / "film", kept / "film")
    (kept / "keyring").mkdir()
    copy_sqlite(folder / "keyring" / "keyring.sqlite3", kept / "keyring" / "keyring.sqlite3")
    with opened_anew(told.clinic) as clinic:
        withdrawal.withdraw(clinic.ctx, clinic.guider, stories.everything(told))
        erasure.work(clinic.ctx, "worker")
    for name in ("master", "escrow"):
        shutil.copytree(folder / name, kept / name)
    assert _recover(kept, told.film).returncode == 0, "a deleted key alone is not gone everywhere"

    with opened_anew(told.clinic) as clinic:
        key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))
    for name in ("master", "escrow"):
        shutil.rmtree(kept / name)
        shutil.copytree(folder / name, kept / name)

    assert _recover(kept, told.film).returncode != 0
    assert _recipe().every_key(kept) == {}
    close(told.clinic)


def _no_key_opens(sidecar: dict[str, object], left: dict[str, bytes]) -> bool:
    """Try every key that is left in the place of those that the wrap asks for."""
    recipe = _recipe()
    wraps: list[dict[str, object]] = sidecar["wraps"]  # type: ignore[assignment]
    gone = {key for wrap in wraps for key in [*wrap["keys"], sidecar["asset_key"]]} - left.keys()  # type: ignore[misc]
    assert gone
    for secret in left.values():
        tried = left | {str(key): secret for key in gone}
        with pytest.raises(LookupError):
            recipe.data_key(sidecar, "care", tried)
    return True
