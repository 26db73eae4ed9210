"""The recipe opens film wherever an installation may have put its parts, and after the end none.

Each layout is the service's own, over the real servers that it names.
"""

import datetime
import http.server
import ipaddress
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from consent_service.domain.withdrawal import Speed
from consent_service.ids import new_id
from consent_service.services import erasure, key_rotation, withdrawal
from consent_service.services.access import job_caller
from consent_service.vault.key_providers import open_provider
from tests.faults import story as stories
from tests.support.installation import Story, close, copy_sqlite, opened_anew
from tests.support.nodes import POLICIES
from tests.support.openbao import OpenBao
from tests.support.postgres import PostgresServer, binaries
from tests.support.recovery import digest_of, keys_left, opens, recipe, recover, sentence
from tests.support.safe import encrypts_to, made_backup, open_safe
from tests.support.seaweed import Seaweed


@dataclass(frozen=True)
class Far:
    """An installation over three servers, and what of it an operator has in hand."""

    told: Story
    sidecar: Path
    keyring: str
    conninfo: str
    live: str
    escrow: str
    token: str
    web_token: str

    def dump(self, *options: str) -> bytes:
        """What pg_dump makes of the keyring."""
        command = [binaries() / "pg_dump", *options, self.conninfo]
        return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture
def far(
    tmp_path: Path, postgres_server: PostgresServer, key_server: OpenBao, object_store: Seaweed
) -> Iterator[Far]:
    """A film whose blob lies in S3 and whose keys lie in PostgreSQL, under OpenBao."""
    mark = new_id()[:8]
    live, escrow = f"consent-live-{mark}", f"consent-escrow-{mark}"
    for key in (live, escrow):
        key_server.ask("POST", f"transit/keys/{key}", {"type": "aes256-gcm96"})
    tokens = {}
    for role in ("web", "worker"):
        rules = (POLICIES / f"{role}.hcl").read_text()
        rules = rules.replace("consent-live", live).replace("consent-escrow", escrow)
        tokens[role] = key_server.token_with(f"{role}-{mark}", rules)
    token_file = tmp_path / "token"
    token_file.write_text(tokens["worker"])
    settings = {
        "database_url": postgres_server.create(f"recover_{mark}"),
        "keyring_url": postgres_server.create(f"recover_{mark}_keys"),
        "blob_url": object_store.store_url(versions=True),
        "key_provider": key_server.provider_url(live, token_file),
        "escrow_provider": key_server.provider_url(escrow, token_file),
    }
    told = stories.begin(tmp_path / "node", **settings)
    server = f"openbao://127.0.0.1:{key_server.port}/transit"
    yield Far(
        told,
        _downloaded(object_store, settings["blob_url"], told.film, tmp_path / "downloaded"),
        settings["keyring_url"],
        postgres_server.conninfo(f"recover_{mark}_keys"),
        f"{server}/{live}?tls=off",
        f"{server}/{escrow}?tls=off",
        tokens["worker"],
        tokens["web"],
    )
    close(told.clinic)


def test_from_s3_postgresql_and_a_key_server(far: Far, tmp_path: Path) -> None:
    """An address or a dump, whole or packed: whatever is in hand, and none of it after the end."""
    digest = digest_of(far.told)
    plain, packed = far.dump(), far.dump("-Fc")
    unpacked = [binaries() / "pg_restore", "-f", "-"]
    piped = subprocess.run(unpacked, input=packed, capture_output=True, check=True).stdout
    (tmp_path / "keyring.sql").write_bytes(plain)
    (tmp_path / "keyring.dump").write_bytes(packed)
    pasted = far.told.clinic.ctx.settings
    named = ("--sidecar", far.sidecar, "care", "--masters", far.live, "--keyring")

    assert opens(recover(*named, far.keyring, BAO_TOKEN=far.token), digest)
    assert opens(recover(*named, tmp_path / "keyring.sql", BAO_TOKEN=far.token), digest)
    assert opens(recover(*named, "-", given=piped, BAO_TOKEN=far.token), digest)
    assert "pg_restore" in sentence(
        recover(*named, tmp_path / "keyring.dump", BAO_TOKEN=far.token), 2
    )
    as_set = ("--masters", pasted.key_provider, "--masters", pasted.escrow_provider)
    assert opens(
        recover("--sidecar", far.sidecar, "care", *as_set, "--keyring", far.keyring), digest
    )

    _withdraw_and_rotate(far.told)

    assert "gone" in sentence(recover(*named, far.keyring, BAO_TOKEN=far.token), 1)
    both = (pasted.key_provider, pasted.escrow_provider)
    assert keys_left(far.keyring, *both), "the recipe must still open the keys of others"
    assert keys_left(tmp_path / "keyring.sql", *both) == {}
    assert "gone" in sentence(recover(*named, "-", given=piped, BAO_TOKEN=far.token), 1)


def test_what_is_under_escrow_opens_with_escrow_alone(far: Far) -> None:
    """In the days in which a family may still undo: with a token that the key server lets."""
    digest = digest_of(far.told)
    with opened_anew(far.told.clinic) as clinic:
        wanted = stories.everything(far.told, Speed.SEVEN_DAYS)
        withdrawal.withdraw(clinic.ctx, clinic.guider, wanted)
        erasure.work(clinic.ctx, "worker")
    named = ("--sidecar", far.sidecar, "care", "--keyring", far.keyring, "--masters", far.live)

    assert "gone" in sentence(recover(*named, BAO_TOKEN=far.token), 1)
    assert opens(recover(*named, "--masters", far.escrow, BAO_TOKEN=far.token), digest)
    refused = recover(*named, "--masters", far.escrow, BAO_TOKEN=far.web_token)
    assert "403" in sentence(refused, 2)


def test_a_key_server_is_believed_only_with_its_ca(
    key_server: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers in its place would get a token and every wrapped key."""
    key = f"recover-{new_id()[:8]}"
    key_server.ask("POST", f"transit/keys/{key}", {"type": "aes256-gcm96"})
    (tmp_path / "token").write_text(key_server.root_token)
    provider = open_provider(key_server.provider_url(key, tmp_path / "token"))
    [wrapped] = provider.wrap_many([(bytes(range(32)), b"here")])
    sealed = [(wrapped, b"here"), (wrapped, b"elsewhere")] * 101
    openbao, wrong = recipe("recover_openbao"), recipe("recover_keys").Wrong
    monkeypatch.setenv("BAO_TOKEN", key_server.root_token)
    monkeypatch.delenv("BAO_CACERT", raising=False)

    with _behind_tls(key_server.url, tmp_path) as (port, ca):
        address = f"openbao://127.0.0.1:{port}/transit/{key}"
        with pytest.raises(wrong, match="certificate"):
            openbao.in_key_server(address)(sealed)
        in_the_address = openbao.in_key_server(f"{address}?ca={ca}")(sealed)
        monkeypatch.setenv("BAO_CACERT", str(ca))
        in_a_variable = openbao.in_key_server(address)(sealed)
        with pytest.raises(wrong, match="knows no such key"):
            openbao.in_key_server(f"openbao://127.0.0.1:{port}/transit/nobody")(sealed)

    assert in_the_address == in_a_variable == [bytes(range(32)), None] * 101


def test_with_master_keys_on_another_disk(tmp_path: Path) -> None:
    """As the deployment guide asks for; named with --masters, each folder by itself."""
    data, stick = tmp_path / "data", tmp_path / "stick"
    settings = {"key_provider": f"file://{stick}/live", "escrow_provider": f"file://{stick}/kept"}
    told = stories.begin(data, **settings)
    film = (data, told.film, "care")
    elsewhere = ("--masters", stick / "live", "--masters", settings["escrow_provider"])
    copy_sqlite(data / "keyring" / "keyring.sqlite3", tmp_path / "old.sqlite3")
    shutil.copytree(data / "film", tmp_path / "film")

    assert "--masters" in sentence(recover(*film), 2)
    assert opens(recover(*film, *elsewhere), digest_of(told))

    _withdraw_and_rotate(told)

    beside = tmp_path / "film" / told.film[:2] / f"{told.film}.json"
    old = ("--sidecar", beside, "care", *elsewhere, "--keyring", tmp_path / "old.sqlite3")
    assert "gone" in sentence(recover(*old), 1)
    assert keys_left(tmp_path / "old.sqlite3", stick / "live", stick / "kept") == {}
    close(told.clinic)


def test_from_a_backup_and_a_key_backup(tmp_path: Path) -> None:
    """All that is left after a fire; a key backup opens for its seven days, a newer one does not."""
    told = stories.begin(tmp_path / "data")
    digest = digest_of(told)
    with opened_anew(told.clinic) as clinic:
        safe = open_safe(clinic, tmp_path)
        recipient = clinic.ctx.settings.backup_recipient
        backup = made_backup(clinic, safe).folder
        with (safe.folder / "keys.age").open("wb") as out:
            key_rotation.backup(clinic.ctx, clinic.admin, out, recipient)

    def piped(name: str) -> subprocess.CompletedProcess[bytes]:
        command = ["age", "-d", "-i", safe.identity, safe.folder / name]
        keys = subprocess.run(command, capture_output=True, check=True).stdout
        return recover(backup, told.film, "care", "--keyring", "-", given=keys)

    assert opens(piped("keys.age"), digest)
    assert "age -d" in sentence(
        recover(backup, told.film, "care", "--keyring", safe.folder / "keys.age"), 2
    )
    with_folders = ("--keyring", tmp_path / "data" / "keyring" / "keyring.sqlite3")
    masters = ("--masters", tmp_path / "data" / "master")
    assert opens(recover(backup, told.film, "care", *with_folders, *masters), digest)

    _withdraw_and_rotate(told)
    with opened_anew(told.clinic) as clinic:
        encrypts_to(clinic, recipient)
        with (safe.folder / "newer.age").open("wb") as out:
            key_rotation.backup(clinic.ctx, clinic.admin, out, recipient)

    assert "gone" in sentence(piped("newer.age"), 1)
    assert "gone" in sentence(recover(backup, told.film, "care", *with_folders, *masters), 1)
    assert opens(piped("keys.age"), digest), "this is why certificates wait for its end"


def _withdraw_and_rotate(told: Story) -> None:
    with opened_anew(told.clinic) as clinic:
        withdrawal.withdraw(clinic.ctx, clinic.guider, stories.everything(told))
        erasure.work(clinic.ctx, "worker")
        key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))


def _downloaded(store: Seaweed, url: str, film: str, to: Path) -> Path:
    """Fetch a film's objects with a client of the bucket; return its sidecar."""
    bucket, _, prefix = url.partition("?")[0].removeprefix("s3://").partition("/")
    to.mkdir()
    client = store.client()
    for one in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{film}")["Contents"]:
        client.download_file(bucket, one["Key"], str(to / one["Key"].rpartition("/")[2]))
    return to / f"{film}.json"


@contextmanager
def _behind_tls(base: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Stand before a plain server, as a proxy does; yields the port and the file of the CA."""

    class Front(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {"X-Vault-Token": self.headers["X-Vault-Token"]}
            answer = urllib3.request("POST", base + self.path, body=body, headers=headers)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    ca, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, ca
        finally:
            server.shutdown()
            thread.join()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "key server")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    held = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(held)
    return folder / "ca.pem", folder / "key.pem"
