"""A real OpenBao server on loopback, with its data in a folder, for tests of the key provider."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tests.support.processes import free_port

BAO = Path(sys.executable).with_name("bao")
_SECONDS = 60
_READY = "==> OpenBao server started!"


@dataclass
class OpenBao:
    """One server; `storage` "raft" keeps its data over `stop` and `start`, "inmem" starts sooner."""

    folder: Path
    port: int
    storage: str = "inmem"
    root_token: str = ""
    unseal_key: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait for the line that says it has started."""
        self._process = subprocess.Popen(
            [BAO, "server", f"-config={self._config()}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout
        for line in self._process.stdout:
            if _READY in line:
                # Somebody has to read on, or the server stops when the pipe is full.
                threading.Thread(target=self._process.stdout.read, daemon=True).start()
                return
        raise RuntimeError("the key server ended before it started")

    def initialise(self) -> None:
        """Make its keys, unseal it, and switch on a transit mount."""
        made = self.ask("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
        self.root_token, self.unseal_key = made["root_token"], made["keys"][0]
        self.unseal()
        self.ask("POST", "sys/mounts/transit", {"type": "transit"})

    def unseal(self) -> None:
        """Open a sealed server."""
        self.ask("POST", "sys/unseal", {"key": self.unseal_key}, token="")
        self._await_active()

    def seal(self) -> None:
        """Shut it: it answers, and does nothing."""
        self.ask("PUT", "sys/seal", {})

    def stop(self) -> None:
        """End the process; its data stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=_SECONDS)
            self._process = None

    def token_with(self, policy: str, rules: str, **options: Any) -> str:
        """Write `policy` with `rules` (HCL) and return a token that has it alone."""
        self.ask("PUT", f"sys/policies/acl/{policy}", {"policy": rules})
        wanted = {"policies": [policy], "no_default_policy": False, **options}
        return str(
            self.ask("POST", "auth/token/create", wanted, whole=True)["auth"]["client_token"]
        )

    def provider_url(self, key: str, token_file: Path) -> str:
        """The address of a transit key, for CONSENT_KEY_PROVIDER."""
        return f"openbao://127.0.0.1:{self.port}/transit/{key}?token_file={token_file}&tls=off"

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        whole: bool = False,
    ) -> Any:
        """Ask as the administrator; raises RuntimeError unless the server says yes."""
        headers = {"X-Vault-Token": self.root_token if token is None else token}
        answer = urllib3.request(
            method, f"{self.url}/v1/{path}", json=body, headers=headers, timeout=_SECONDS
        )
        if answer.status >= 300:
            raise RuntimeError(f"the key server answered {answer.status} to {path}")
        found = json.loads(answer.data) if answer.data else {}
        return found if whole else found.get("data") or found

    def _await_active(self) -> None:
        """A raft node answers 429 or 503 until it leads; the server holds the question open."""
        retries = urllib3.Retry(
            total=60, backoff_factor=0.05, backoff_max=0.5, status_forcelist=[429, 472, 473, 503]
        )
        with urllib3.PoolManager(retries=retries) as pool:
            pool.request("GET", f"{self.url}/v1/sys/health")

    def _config(self) -> Path:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        path = self.folder / "server.hcl"
        options = f'path = "{data}"\nnode_id = "one"' if self.storage == "raft" else ""
        path.write_text(
            f"""
            storage "{self.storage}" {{
            {options}
            }}
            listener "tcp" {{ address = "127.0.0.1:{self.port}" tls_disable = true }}
            api_addr = "{self.url}"
            cluster_addr = "http://127.0.0.1:{free_port()}"
            disable_mlock = true
            """
        )
        return path


@contextmanager
def openbao(folder: Path, storage: str = "inmem") -> Iterator[OpenBao]:
    """Lend a server that is ready for use; it ends with the block."""
    server = OpenBao(folder, free_port(), storage)
    server.start()
    try:
        server.initialise()
        yield server
    finally:
        server.stop()
