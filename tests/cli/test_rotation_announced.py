"""`keys rotate --dry-run` announces what the rotation would do."""

from pathlib import Path

from consent_service.vault.keyring import KeyKind
from consent_service.wiring import build_context, settings_from
from tests.support.command_line import CommandLine


def test_a_rotation_is_announced_as_it_will_be(empty: CommandLine) -> None:
    """An officer who reads *nothing waits* would not rotate what was promised to be gone."""
    assert empty("init").code == 0
    idle = empty("keys", "rotate", "--dry-run")
    idle_as_json = empty("keys", "rotate", "--dry-run", "--json").json
    forced = empty("keys", "rotate", "--dry-run", "--force")
    _destroy(empty.folder, made=["a" * 32], never_made=["b" * 32])

    told = empty("keys", "rotate", "--dry-run")
    as_json = empty("keys", "rotate", "--dry-run", "--json").json
    done = empty("keys", "rotate", "--yes", "--json").json["report"]

    assert "nothing would be done" in idle.out and idle_as_json["idle"] is True
    assert forced.out.startswith("0 shards would get new keys")
    assert told.out.startswith("1 shards would get new keys"), told.out
    assert "2 destroyed keys" in told.out
    assert as_json == {
        "shards": 1,
        "tombstones": 2,
        "unfinished": False,
        "idle": False,
        "dry_run": True,
    }
    assert (done["idle"], done["shards_rotated"]) == (False, 1)
    assert "nothing would be done" in empty("keys", "rotate", "--dry-run").out


def test_tombstones_alone_are_announced(empty: CommandLine) -> None:
    """A key that was destroyed elsewhere leaves no shard here, and the rotation happens."""
    assert empty("init").code == 0
    _destroy(empty.folder, made=[], never_made=["b" * 32])

    told = empty("keys", "rotate", "--dry-run")
    done = empty("keys", "rotate", "--yes", "--json").json["report"]

    assert "0 shards" in told.out and "1 destroyed keys" in told.out
    assert done["idle"] is False


def _destroy(folder: Path, made: list[str], never_made: list[str]) -> None:
    ctx = build_context(settings_from({"CONSENT_DATA_DIR": str(folder / "data")}))
    now = ctx.clock.now()
    for key in made:
        ctx.keyring.create(key, KeyKind.CONSENT, 3, now)
    ctx.keyring.destroy([*made, *never_made], "order", now)
    ctx.keyring.close()
    ctx.engine.dispose()
