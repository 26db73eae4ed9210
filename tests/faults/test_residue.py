"""After an erasure nothing of the film is found, wherever one looks."""

import time
from pathlib import Path

from tests.faults.residue import elsewhere, files_holding, live_through
from tests.faults.residue_bucket import WholeBucket
from tests.support.seaweed import Seaweed


def test_neither_film_nor_key_is_left_in_any_file_after_erasure_and_rotation(
    tmp_path: Path,
) -> None:
    """Parents are told that it is gone; a forgotten temporary file would make that untrue.

    The search is made sure of first: what is planted in each place is found.
    """
    began = time.time()
    folder = tmp_path / "installation"

    gone = live_through(folder)

    assert len(gone.anywhere) >= 6
    assert len(gone.own) >= 20
    assert files_holding([folder], gone.all, since=0) == []
    assert len(gone.told) >= 10
    telling = {path.name.partition("-")[0] for path in files_holding([folder], gone.told, since=0)}
    assert telling <= {"consent.sqlite3"}
    assert files_holding(elsewhere(), gone.anywhere, since=began) == []


def test_no_version_of_a_film_is_left_in_a_bucket_that_keeps_versions(
    object_store: Seaweed, tmp_path: Path
) -> None:
    """Such a bucket keeps what is deleted unless each version is deleted by name."""
    url = object_store.store_url(versions=True)
    bucket = WholeBucket(object_store, url)
    bucket.require_found_when_planted()

    gone = live_through(tmp_path / "installation", blob_url=url)

    assert bucket.everything() == []
    assert files_holding([object_store.folder / "data"], gone.all, since=0) == []
