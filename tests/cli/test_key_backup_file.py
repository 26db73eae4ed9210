"""The file that a key backup is written to."""

from pathlib import Path

import pytest

from consent_service.cli.keys import _appearing


def test_a_key_backup_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    """A copy that is made meanwhile, or a cut, would else leave a file that opens nothing."""
    file = tmp_path / "keys.age"
    with _appearing(file) as stream:
        stream.write(b"first half, ")
        stream.flush()
        meanwhile = [one.name for one in tmp_path.iterdir()]
        stream.write(b"second half")

    assert meanwhile == [".keys.age~"]
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {
        "keys.age": b"first half, second half"
    }
    assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_stays_of_a_key_backup_that_failed(tmp_path: Path) -> None:
    """What stood in its place would keep the next one from its name."""
    with pytest.raises(OSError, match="away"), _appearing(tmp_path / "keys.age") as stream:
        stream.write(b"half")
        raise OSError("away")

    assert list(tmp_path.iterdir()) == []
