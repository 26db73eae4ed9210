"""A film that had come in whole, and that somebody then said no to, was tried again for ever."""

import pytest

from consent_service.domain.assets import AssetState
from consent_service.services import recordings, storing, uploads
from consent_service.services.access import job_caller
from tests.support.clinic import Clinic, sample_film
from tests.support.uploading import begun, send, state_of

WORKER = job_caller("abandon-uploads")


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("says_no", [True, False])
def test_what_may_not_be_stored_is_erased_after_a_day(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, says_no: bool
) -> None:
    """Nothing waits for ever; but what only could not be stored yet was acknowledged, and stays."""
    family, asset = begun(clinic)
    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", _dies)
        with pytest.raises(KeyboardInterrupt):
            send(clinic, asset, 0, sample_film())
    clinic.passes(hours=1)
    if says_no:
        answers = clinic.answers(
            family,
            family.mother,
            no=frozenset({"CARE.FILM.SELF"}),
            about=frozenset({family.mother}),
        )
        clinic.captures(family, family.mother, answers)
    clinic.passes(hours=22)
    assert recordings.abandon_stale(clinic.ctx, WORKER) == []

    clinic.passes(hours=2)
    abandoned = recordings.abandon_stale(clinic.ctx, WORKER)

    if says_no:
        assert abandoned == [asset]
        assert clinic.objects() == set()
    else:
        assert abandoned == []
        uploads.finish_received(clinic.ctx, WORKER)
        assert state_of(clinic, asset) is AssetState.STORED
