"""A clinic on several nodes: two web servers and a worker over PostgreSQL, S3 and a key server.

Nothing is shared between the nodes but these three servers, and the folder that holds journal and
signing keys. Web servers have the token of the shipped policy for the web, the worker its own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consent_service.settings import PREFIX
from tests.support.api import issue_token
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.installation import close, found_installation
from tests.support.openbao import OpenBao, openbao
from tests.support.postgres import PostgresServer, server_folder
from tests.support.running import Running, running, working
from tests.support.seaweed import Seaweed, seaweed

POLICIES = Path(__file__).parents[2] / "docs" / "operations" / "openbao"
PATIENCE = 240.0
_PAUSE = 0.2


@dataclass(frozen=True)
class Servers:
    """The engines beneath the service; each may be stopped and started again."""

    database: PostgresServer
    store: Seaweed
    keys: OpenBao

    @contextmanager
    def away(self, name: str) -> Iterator[None]:
        """Stop one for the length of the block, then start it with the data that it had."""
        getattr(self, name).stop()
        try:
            yield
        finally:
            self._start(name)

    def _start(self, name: str) -> None:
        match name:
            case "database":
                self.database.start_again()
            case "store":
                self.store.start()
            case _:
                self.keys.start()
                self.keys.unseal()


@dataclass(frozen=True)
class Nodes:
    """Two web nodes and what lies beneath; `clinic` arranges and looks, with the worker's token."""

    clinic: Clinic
    servers: Servers
    one: Running
    two: Running
    guider: str
    ig: str
    bucket: str
    prefix: str

    def stores(self, family: Family, film: bytes | None = None) -> str:
        """Film a family and send it to node 1."""
        body = {
            "involvement": family.involvement,
            "depicted": list(family.everyone),
            "filmed_on": self.clinic.today.isoformat(),
        }
        status, made = self.one.call("POST", "/recordings", self.guider, body)
        assert status == 201, made
        asset = str(made["recording"]["id"])
        where = f"/recordings/{asset}/content"
        status, said = self.one.call("PUT", where, self.guider, raw=film or sample_film())
        assert status == 200, said
        return asset

    def watches(self, asset: str) -> int:
        """Play a film on node 2, from its beginning to its end; returns the status."""
        return self.two.call("GET", f"/recordings/{asset}/content?purpose=care", self.guider)[0]

    def withdraws(self, family: Family, **more: Any) -> tuple[int, Any]:
        """A mother says stop on node 1."""
        body = {
            "involvement": family.involvement,
            "person": family.mother,
            "by": family.mother,
            "scope": "everything",
            "route": "in_person",
            **more,
        }
        return self.one.call("POST", "/withdrawals", self.guider, body)

    def state(self, order: str) -> str:
        """How far an erasure order is, as node 2 tells it."""
        status, said = self.two.call("GET", f"/erasure-orders/{order}", self.ig)
        return str(said["state"]) if status == 200 else f"answered {status}"

    def versions_of(self, *assets: str) -> list[str]:
        """Every version and delete marker that the bucket has of these assets."""
        found = self.servers.store.client().list_object_versions(
            Bucket=self.bucket, Prefix=self.prefix
        )
        rows = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        return [row["Key"] for row in rows if any(asset in row["Key"] for asset in assets)]


def comes_true(holds: Callable[[], bool]) -> bool:
    """Ask again and again, of processes that tell nobody when they are done."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(_PAUSE)
    return True


@contextmanager
def several_nodes(folder: Path) -> Iterator[Nodes]:
    """Lend a whole installation on several nodes; everything ends with the block."""
    with ExitStack() as ending:
        servers = _servers(folder, ending)
        where = _addresses(servers, folder)
        tokens = {role: _token_file(servers.keys, role, folder) for role in ("web", "worker")}
        settings = {**where, **_providers(servers.keys, tokens["worker"])}
        clinic = found_installation(folder / "desk", **settings)
        ending.callback(close, clinic)
        environment = {f"{PREFIX}{name.upper()}": str(value) for name, value in where.items()}
        web = environment | _as_environment(_providers(servers.keys, tokens["web"]))
        work = environment | _as_environment(_providers(servers.keys, tokens["worker"]))
        for name in ("one", "two", "work"):
            (folder / name).mkdir()
        one, two = (
            ending.enter_context(running(folder / name, verb=("serve",), **web))
            for name in ("one", "two")
        )
        ending.enter_context(working(folder / "work", **work))
        bucket, _, prefix = where["blob_url"].partition("?")[0].removeprefix("s3://").partition("/")
        guider, ig = (issue_token(clinic, who) for who in (clinic.guider, clinic.ig))
        yield Nodes(clinic, servers, one, two, guider, ig, bucket, prefix)


def _servers(folder: Path, ending: ExitStack) -> Servers:
    database = PostgresServer(ending.enter_context(server_folder()))
    store = ending.enter_context(seaweed(folder / "store"))
    keys = ending.enter_context(openbao(folder / "keys", "raft"))
    for key in ("consent-live", "consent-escrow"):
        keys.ask("POST", f"transit/keys/{key}", {"type": "aes256-gcm96"})
    return Servers(database, store, keys)


def _addresses(servers: Servers, folder: Path) -> dict[str, str]:
    shared = folder / "shared"
    shared.mkdir()
    return {
        "database_url": servers.database.create("consent"),
        "keyring_url": servers.database.create("keyring"),
        "blob_url": servers.store.store_url(versions=True),
        "journal_url": f"file://{shared / 'journal.jsonl'}",
        "signing_keys": str(shared / "signing"),
        "secret_key": "one secret for all nodes of this clinic",
    }


def _token_file(keys: OpenBao, role: str, folder: Path) -> Path:
    path = folder / f"{role}-token"
    rules = (POLICIES / f"{role}.hcl").read_text()
    path.write_text(keys.token_with(role, rules, ttl="1h", renewable=True))
    return path


def _providers(keys: OpenBao, token: Path) -> dict[str, str]:
    return {
        "key_provider": keys.provider_url("consent-live", token),
        "escrow_provider": keys.provider_url("consent-escrow", token),
    }


def _as_environment(settings: dict[str, str]) -> dict[str, str]:
    return {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}
