"""The exported log verifies far from here, and whatever is done to the file is found."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent_service.db import audit_log
from consent_service.db.audit_export import export, read_public_keys, verify_export
from consent_service.db.engine import open_engine
from consent_service.db.unit_of_work import begin, read
from consent_service.domain.audit import parse_body
from consent_service.domain.audit_check import Trust, VerifyReport
from consent_service.errors import InvalidInput
from tests.support.audit import LOG, AuditLog, build_audit_tables


def exported(log: AuditLog) -> bytes:
    out = io.BytesIO()
    with read(log.engine) as session:
        export(session, out)
    return out.getvalue()


def verified(path: Path, content: bytes, trust: Trust) -> VerifyReport:
    path.write_bytes(content)
    return verify_export(path, trust)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditLog, bytes]:
    """Three entries under two heads, and their export."""
    url = f"sqlite:///{tmp_path_factory.mktemp('small') / 'log.db'}"
    build_audit_tables(url)
    log = AuditLog(open_engine(url))
    log.sealed(2)
    log.sealed(1)
    content = exported(log)
    log.engine.dispose()
    return log, content


def test_an_export_verifies_and_holds_every_sealed_entry_once(log, tmp_path):
    """What goes to the auditor is the whole log up to its last signed head."""
    entries = [entry for count in (300, 1, 40) for entry in log.sealed(count)]
    log.append(3)

    content = exported(log)

    report = verified(tmp_path / "log.ndjson", content, log.trust([log.note()]))
    assert report == VerifyReport(ok=True, entries=341, epochs=1, checkpoints=3)
    lines = [json.loads(line) for line in content.splitlines()]
    assert [line["body"]["id"] for line in lines if "body" in line] == [e.id for e in entries]


def test_an_empty_log_exports_and_verifies(log, tmp_path):
    """Asked on the first day, there is an answer and no error."""
    report = verified(tmp_path / "log.ndjson", exported(log), log.trust())

    assert report == VerifyReport(ok=True, entries=0, epochs=0, checkpoints=0)


def test_an_export_follows_the_log_across_a_restore(log, tmp_path):
    """Epochs and what was lost between them go into the same file."""
    log.sealed(3)
    with begin(log.engine, log.at) as uow:
        ended = audit_log.latest_checkpoint(uow.session)
        assert ended is not None
        audit_log.start_epoch(uow.session, log.signer, LOG, log.at, ended)
    log.sealed(2)

    report = verified(tmp_path / "log.ndjson", exported(log), log.trust())

    assert report == VerifyReport(ok=True, entries=6, epochs=2, checkpoints=3)


def test_every_byte_of_an_export_counts(small, tmp_path):
    """One flipped bit anywhere in the file is found."""
    log, content = small
    path = tmp_path / "log.ndjson"
    trust = log.trust()
    assert verified(path, content, trust).ok

    unnoticed = [
        at
        for at in range(len(content))
        if verified(path, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], trust).ok
    ]

    assert unnoticed == []


def test_a_file_cut_anywhere_is_refused(small, tmp_path):
    """A download that broke off must not pass for the log."""
    log, content = small
    path = tmp_path / "log.ndjson"

    unnoticed = [at for at in range(len(content)) if verified(path, content[:at], log.trust()).ok]

    assert unnoticed == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_first_bad_entry_is_named(small, tmp_path, place):
    """Which entry was falsified is what will be asked."""
    log, content = small
    lines = content.splitlines(keepends=True)
    entries = [number for number, line in enumerate(lines) if line.startswith(b'{"body"')]
    entry = json.loads(lines[entries[place]])["body"]
    for later in entries[place:]:
        lines[later] = lines[later].replace(b'"purpose":"care"', b'"purpose":"team"')

    report = verified(tmp_path / "log.ndjson", b"".join(lines), log.trust())

    assert report.first_bad is not None
    assert (report.first_bad.index, report.first_bad.entry_id) == (place, entry["id"])


@pytest.mark.parametrize("place", range(6))
def test_a_line_left_out_is_found(small, tmp_path, place):
    """An entry somebody would like to forget is missed."""
    log, content = small
    lines = content.splitlines(keepends=True)
    assert len(lines) == 6

    without = b"".join(lines[:place] + lines[place + 1 :])

    assert not verified(tmp_path / "log.ndjson", without, log.trust()).ok


@pytest.mark.parametrize("place", range(6))
def test_a_line_put_in_twice_is_found(small, tmp_path, place):
    """Nothing may be added either."""
    log, content = small
    lines = content.splitlines(keepends=True)

    with_copy = b"".join([*lines[: place + 1], *lines[place:]])

    assert not verified(tmp_path / "log.ndjson", with_copy, log.trust()).ok


def test_the_last_entry_cut_is_named(small, tmp_path):
    """The signed head still says how many there were."""
    log, content = small
    lines = content.splitlines(keepends=True)

    report = verified(tmp_path / "log.ndjson", b"".join(lines[:-2] + lines[-1:]), log.trust())

    assert report.first_bad is not None
    assert report.first_bad.index == 2


def test_a_tail_cut_with_its_head_is_found_by_a_head_kept_elsewhere(small, tmp_path):
    """Such a file is a true older export; only a later head tells that it is not the newest."""
    log, content = small
    lines = content.splitlines(keepends=True)
    published = json.loads(lines[-1])["checkpoint"]
    older = b"".join([lines[0].replace(b'"size":3', b'"size":2'), *lines[1:-2]])

    alone = verified(tmp_path / "log.ndjson", older, log.trust())
    held_to_it = verified(tmp_path / "log.ndjson", older, log.trust([published]))

    assert (alone.ok, alone.entries) == (True, 2)
    assert held_to_it.first_bad is not None
    assert "entries were cut" in held_to_it.first_bad.what


def test_another_signing_key_is_refused(small, tmp_path):
    """A whole log made up and signed by somebody else is worth nothing."""
    log, content = small
    stranger = AuditLog(log.engine)

    report = verified(tmp_path / "log.ndjson", content, stranger.trust())

    assert report.first_bad is not None
    assert "No known key" in report.first_bad.what


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[" * 100_000,
        b'{"epochs":[],"format":"consent-service/audit-export/v2"}\n',
        b'{"epochs":[{"epoch":1,"origin":"x","size":0}],"format":"consent-service/audit-export/v1"}\n',
        b'{"epochs":[{"epoch":1,"origin":"x","size":2}],"format":"consent-service/audit-export/v1"}\n',
        b'{"epochs":[{"epoch":1,"origin":"x","size":2}],"format":"consent-service/audit-export/v1"}\n{"body":\n',
        b"\xff\xfe\x00" * 1000,
    ],
)
def test_a_file_of_something_else_is_refused_and_does_no_harm(small, tmp_path, content):
    """The auditor may pick the wrong file."""
    log, _ = small

    report = verified(tmp_path / "log.ndjson", content, log.trust())

    assert not report.ok and report.first_bad is not None


def test_an_export_is_lines_of_plain_json_without_free_text(small):
    """Anybody's tools can read it, and there is nothing personal in it to read."""
    _, content = small

    bodies = [json.loads(line).get("body") for line in content.splitlines()]

    for body in filter(None, bodies):
        event = parse_body(json.dumps(body, separators=(",", ":"), sort_keys=True).encode()).event
        assert not re.search(r"\s", json.dumps(dict(event.details), separators=(",", ":")))


def test_verification_needs_the_file_and_the_public_key_and_nothing_else(small, tmp_path):
    """In a separate process, in an empty folder, without database, settings or private key."""
    log, content = small
    (tmp_path / "log.ndjson").write_bytes(content)
    pem = log.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "log.pem").write_bytes(pem)
    program = (
        "from pathlib import Path\n"
        "from consent_service.db.audit_export import read_public_keys, verify_export\n"
        "from consent_service.domain.audit_check import Trust\n"
        "keys = read_public_keys(Path('log.pem').read_bytes())\n"
        "print(verify_export(Path('log.ndjson'), Trust(keys)).entries)\n"
    )

    root = str(Path(__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "3\n"


def test_several_public_keys_are_read_from_one_file(small):
    """Retired keys and the present one are published together."""
    log, _ = small
    keys = [log.public_key, AuditLog(log.engine).public_key]
    pem = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys]

    found = read_public_keys(b"\n".join(pem))

    assert [key.public_bytes_raw() for key in found] == [k.public_bytes_raw() for k in keys]


def _other_kind_of_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----END PUBLIC KEY-----", _other_kind_of_key()]
)
def test_a_file_without_ed25519_keys_is_refused(pem):
    """Without a key there is nothing to verify with; that must be said, not passed over."""
    with pytest.raises(InvalidInput, match="public keys"):
        read_public_keys(pem)
