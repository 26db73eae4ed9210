"""What a verb says where there is no service, or not all of one."""

from pathlib import Path

import pytest

from consent_service.errors import SettingsFault
from consent_service.settings import Settings
from consent_service.wiring import build_context


def test_an_empty_place_is_named_and_may_be_set_up(tmp_path: Path) -> None:
    """A wrong working directory must not end in a second service."""
    with pytest.raises(SettingsFault) as fault:
        build_context(Settings(data_dir=tmp_path / "elsewhere").filled())

    said = str(fault.value)
    assert str(tmp_path / "elsewhere") in said
    assert "CONSENT_DATA_DIR" in said


def test_a_service_without_its_signing_keys_is_told_to_put_them_back(tmp_path: Path) -> None:
    """New ones beside an old journal would fit nothing that was signed before."""
    (tmp_path / "keyring").mkdir()

    with pytest.raises(SettingsFault) as fault:
        build_context(Settings(data_dir=tmp_path).filled())

    said = str(fault.value)
    assert f"signing keys are missing in {tmp_path / 'signing'}" in said
    assert "Put them back" in said
