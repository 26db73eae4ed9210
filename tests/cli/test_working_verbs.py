"""Verbs at work on a demo's families: what an operator does when something has to be done now."""

import gc
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.cli.terminal import operator
from consent_service.db.models.consent import ConsentAct
from consent_service.domain.people import FamilyRole
from consent_service.services import involvements
from consent_service.wiring import build_context, settings_from
from tests.support.command_line import CommandLine
from tests.support.installation import copy_folder, copy_sqlite


@dataclass(frozen=True)
class Ids:
    """The ids of one of the demo's families."""

    involvement: str
    mother: str
    father: str


@pytest.fixture(scope="module")
def families(demo: CommandLine) -> dict[str, Ids]:
    """Family name -> ids."""
    ctx = build_context(settings_from({"CONSENT_DATA_DIR": str(demo.folder / "data")}))
    with ctx.read() as session:
        from consent_service.db.models.people import Involvement

        known = list(session.query(Involvement.id))
    found = {}
    for (identifier,) in known:
        view = involvements.family(ctx, operator(), identifier)
        parents = [p for member, p in view.people if member.role is FamilyRole.PARENT]
        mother, father = sorted(parents, key=lambda p: p.born_on or p.full_name, reverse=True)
        found[mother.full_name.split()[-1]] = Ids(identifier, mother.id, father.id)
    ctx.keyring.close()
    ctx.engine.dispose()
    return found


@pytest.fixture
def keys(demo: CommandLine) -> Iterator[str]:
    """A file of public keys, as `keys public --json` prints them."""
    (demo.folder / "keys.json").write_text(demo("keys", "public", "--json").out)
    yield "keys.json"
    (demo.folder / "keys.json").unlink()


def test_consent_can_be_shown_for_two_moments(demo: CommandLine, families: dict[str, Ids]) -> None:
    """Questions about the past are asked after the fact, by people with a terminal."""
    rows = demo("consent", "show", families["Rowan"].mother, "--json").json
    before = demo("consent", "show", families["Rowan"].mother, "--at", "2026-09-01", "--json").json

    assert {r["state"] for r in rows if r["purpose"] == "care"} == {"given"}
    assert "given" not in {r["state"] for r in before}


def test_a_dry_run_changes_nothing_and_a_missing_yes_stops(
    demo: CommandLine, families: dict[str, Ids]
) -> None:
    """A script that forgot --yes must stop before it destroys."""
    who = families["Maple"]
    call = ("withdrawals", "record", who.mother, "--involvement", who.involvement)

    dry = demo(*call, "--dry-run", "--json")
    unasked = demo(*call)

    assert dry.code == 0 and "care" in dry.json["purposes"]
    assert unasked.code == 2 and "--yes" in unasked.err
    states = demo("consent", "show", who.mother, "--json").json
    assert {r["state"] for r in states if r["purpose"] == "care"} == {"given"}


def test_a_hold_that_an_older_database_has_forgotten_still_holds(
    demo: CommandLine, families: dict[str, Ids], tmp_path: Path
) -> None:
    """Destroying cannot be taken back: the journal comes before the database that was put back."""
    gc.collect()  # nobody has it open
    verbs = CommandLine(copy_folder(demo.folder, tmp_path / "copy"))
    who = families["Rowan"]
    database = verbs.folder / "data" / "consent.sqlite3"
    copy_sqlite(database, tmp_path / "before.sqlite3")
    why = ("--kind", "inquiry", "--reason", "An inquiry has asked for it")
    hold = verbs("holds", "place", who.involvement, *why, "--json").json["id"]
    gc.collect()
    for file in database.parent.glob("consent.sqlite3*"):
        file.unlink()
    copy_sqlite(tmp_path / "before.sqlite3", database)

    call = (who.mother, "--involvement", who.involvement, "--yes", "--json")
    done = verbs("withdrawals", "record", *call)

    assert done.code == 0, done.err
    assert hold in {row["id"] for row in verbs("holds", "list", "--json").json}
    document = verbs("certificates", "show", done.json["reference"], "--json").json["certificate"]
    assert document["destroyed"] == []
    assert {line["ground"] for line in document["kept"]} == {"hold"}


def test_a_withdrawal_is_carried_out_and_its_certificate_verifies_elsewhere(
    demo: CommandLine, families: dict[str, Ids], keys: str
) -> None:
    """What `withdrawals record` says is gone must be gone, with proof that needs no database."""
    who = families["Rowan"]
    call = (who.mother, "--involvement", who.involvement)

    planned = demo("withdrawals", "preview", *call, "--json").json
    done = demo("withdrawals", "record", *call, "--yes", "--json").json
    document = demo("certificates", "show", done["reference"], "--out", "proof.json", "--json")
    verified = demo.in_a_process("certificates", "verify", "proof.json", "--keys", keys)
    forged = document.out.replace('"cause": "withdrawal"', '"cause": "retention"')
    (demo.folder / "proof.json").write_text(forged)
    refused = demo.in_a_process("certificates", "verify", "proof.json", "--keys", keys)

    assert done["finished"] is True and done["order_state"] == "done"
    gone = {line["asset"] for line in json.loads(document.out)["certificate"]["destroyed"]}
    assert gone == {line["asset"] for line in planned["lines"]} != set()
    assert verified.code == 0, verified.err
    assert refused.code == 1 and "changed after signing" in refused.err


def test_a_withdrawal_in_its_seven_days_is_cancelled(
    demo: CommandLine, families: dict[str, Ids]
) -> None:
    """A change of mind by telephone must not need a programmer."""
    who = families["Hazel"]
    call = (who.father, "--involvement", who.involvement, "--seven-days", "--yes", "--json")

    done = demo("withdrawals", "record", *call).json
    by_other = demo("withdrawals", "cancel", done["id"], "--by", who.mother)
    back = demo("withdrawals", "cancel", done["id"], "--by", who.father, "--json")

    assert done["order_state"] == "waiting" and done["undo_until"]
    assert by_other.code == 1 and "person who withdrew" in by_other.err
    assert back.code == 0 and back.json["cancelled_at"]


def test_a_hold_is_released_by_two_people(demo: CommandLine, families: dict[str, Ids]) -> None:
    """One person alone must not be able to let film be destroyed."""
    reason = ("--reason", "A complaint was received")
    hold = demo(
        "holds", "place", families["Linden"].involvement, "--kind", "complaint", *reason, "--json"
    ).json["id"]
    officer, deputy = "ig-officer@meadow-lane.example", "ig-deputy@meadow-lane.example"

    asked = demo("holds", "release", hold, "--as", officer, "--reason", "Settled", "--json")
    alone = demo("holds", "release", hold, "--as", officer, "--confirm", "--yes")
    both = demo("holds", "release", hold, "--as", deputy, "--confirm", "--yes", "--json")

    assert asked.json["release_asked_by"]
    assert alone.code == 1 and "second person" in alone.err
    assert both.json["released_at"]
    assert hold not in {row["id"] for row in demo("holds", "list", "--json").json}


def test_a_request_for_access_is_written_down_with_its_due_day(
    demo: CommandLine, families: dict[str, Ids]
) -> None:
    """A letter that lies on a desk for a month is a breach; the list shows it before."""
    mother = families["Linden"].mother

    made = demo("subject-access", "create", mother, "--asked-on", "2026-01-31", "--json")
    listed = demo("subject-access", "list", "--json").json

    assert made.code == 0 and made.json["due_on"] == "2026-02-28"
    assert [row["state"] for row in listed if row["id"] == made.json["id"]] == ["open"]


def test_the_log_verifies_here_and_its_export_elsewhere(demo: CommandLine, keys: str) -> None:
    """An auditor brings their own machine."""
    assert demo("audit", "verify").code == 0
    assert demo("audit", "export", "--out", "log.ndjson").code == 0
    checked = ("audit", "verify", "--export", "log.ndjson", "--keys", keys)

    sound = demo.in_a_process(*checked, "--json")
    file = demo.folder / "log.ndjson"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"route":"in_person"', b'"route":"in_persom"', 1))
    changed = demo(*checked)

    assert sound.code == 0 and sound.json["ok"] is True and sound.json["entries"] > 100
    assert changed.code == 1 and "entry" in changed.err
    file.unlink()


def test_entries_are_shown_as_sentences_page_by_page(demo: CommandLine) -> None:
    """The log is for people to read."""
    first = demo("audit", "show", "--limit", "3", "--json").json
    second = demo("audit", "show", "--limit", "3", "--cursor", first["next_cursor"], "--json").json

    assert all(row["sentence"].endswith(".") for row in first["entries"])
    assert not {r["entry"] for r in first["entries"]} & {r["entry"] for r in second["entries"]}
    captured = demo("audit", "show", "--kind", "consent.captured", "--json").json["entries"]
    assert {row["kind"] for row in captured} == {"consent.captured"}


def test_orders_are_listed_shown_and_run(demo: CommandLine) -> None:
    """Whoever is asked whether something is really gone looks here."""
    rows = demo("erasure", "list", "--json").json
    done = next(row for row in rows if row["state"] == "done")

    shown = demo("erasure", "show", done["reference"], "--json").json

    assert [step["state"] for step in shown["steps"]] == ["done"] * 9
    assert demo("erasure", "run", "--yes", "--json").code == 0
    assert demo("certificates", "list", "--json").json


def test_a_policy_fault_is_named_with_file_and_line(ready: CommandLine) -> None:
    """An IG officer edits these files by hand and needs to know where to look."""
    from shutil import copytree

    from consent_service.policy_files import default_policy_dir

    folder = ready.folder / "policies"
    copytree(default_policy_dir(), folder)
    path = folder / "purposes.yaml"
    path.write_text(path.read_text().replace("named_use:", "named_usage:", 1))

    said = ready("policies", "check", "--dir", "policies")
    as_json = ready("policies", "check", "--dir", "policies", "--json")

    assert said.code == 1 and "purposes.yaml:" in said.out and "expected" in said.out
    assert as_json.code == 1 and as_json.json["ok"] is False and as_json.json["faults"]


def test_published_forms_and_versions_are_shown_and_compared(ready: CommandLine) -> None:
    """Which words were in force is asked years later."""
    forms = ready("consent-forms", "list", "--json").json
    text = ready("consent-forms", "show", "vig", "--json").json
    versions = ready("policies", "show", "--json").json

    assert {(f["id"], f["version"]) for f in forms} >= {("vig", 1), ("vig-other-person", 1)}
    assert "CARE.FILM.SELF" in text["text"] and len(text["sha256"]) == 64
    assert all(row["published_at"] for row in versions)
    assert ready("policies", "diff", "consent-forms/vig/v1").code == 0
    other = ("consent-forms/vig/v1", "consent-forms/vig-other-person/v1")
    assert ready("policies", "diff", *other).code == 1


def test_a_consent_of_the_wrong_person_is_marked_as_never_valid(
    demo: CommandLine, families: dict[str, Ids]
) -> None:
    """A mistake found at night must stop access at once, and must not look like a withdrawal."""
    mother = families["Hazel"].mother
    act = _last_act(demo, mother)
    call = ("consent", "invalidate", act, "--because", "wrong_person")

    no_reason = demo(*call, "--reason", "  ", "--yes")
    unasked = demo(*call, "--reason", "Recorded for a sister")
    done = demo(*call, "--reason", "Recorded for a sister", "--yes", "--json")
    again = demo(*call, "--reason", "Recorded for a sister", "--yes")

    assert no_reason.code == 1 and "reason" in no_reason.err
    assert unasked.code == 2 and "--yes" in unasked.err
    assert done.code == 0 and [mother, "care"] in done.json["ended"]
    assert again.code == 1 and "not valid already" in again.err
    assert "sister" not in demo("audit", "show", "--json").out
    states = {r["purpose"]: r["state"] for r in demo("consent", "show", mother, "--json").json}
    assert states["care"] == "invalidated"


def test_a_use_that_ends_is_revoked_and_what_it_kept_is_destroyed(
    demo: CommandLine, families: dict[str, Ids]
) -> None:
    """When the service ends, nobody had withdrawn; the film must go all the same."""
    who = families["Maple"]
    call = ("consent", "revoke", who.mother, "--involvement", who.involvement)
    why = ("--because", "service_ended", "--reason", "The clinic closes")

    dry = demo(*call, *why, "--dry-run", "--json")
    unasked = demo(*call, *why)
    done = demo(*call, *why, "--yes", "--json")
    assert done.code == 0, done.err + done.out
    order = demo("erasure", "show", done.json["erasure_order"], "--json").json

    assert dry.code == 0 and unasked.code == 2
    assert done.code == 0 and order["state"] == "done"
    states = {r["purpose"]: r["state"] for r in demo("consent", "show", who.mother, "--json").json}
    assert states["care"] == "revoked"


def _last_act(demo: CommandLine, person: str) -> str:
    ctx = build_context(settings_from({"CONSENT_DATA_DIR": str(demo.folder / "data")}))
    with ctx.read() as session:
        newest = select(ConsentAct.id).where(ConsentAct.person_id == person)
        act = session.scalars(newest.order_by(ConsentAct.recorded_at.desc())).first()
    ctx.keyring.close()
    ctx.engine.dispose()
    assert act is not None
    return act
