"""The web servers that ours is measured against, on loopback, and the program that asks them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.tools import said_by
from consent_service.cli.processes import THREADS
from tests.support.processes import free_port, started
from tests.support.running import ROOT

ASKER = "wrk"
_NGINX = """
{user}
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
_ASK = """
local size, length, token = {size}, {length}, "{token}"
local headers = {{}}
if token ~= "" then headers["Authorization"] = "Bearer " .. token end
function setup(thread) thread:set("seed", {seed} + (count or 0)); count = (count or 0) + 1 end
function init() math.randomseed(seed) end
function request()
    if length < size then
        local start = math.random(0, size - length)
        headers["Range"] = string.format("bytes=%d-%d", start, start + length - 1)
    end
    return wrk.format("GET", nil, headers)
end
function done(summary)
    local e = summary.errors
    io.write(string.format(
        '{{"requests":%d,"bytes":%d,"us":%d,"faults":%d}}\\n',
        summary.requests, summary.bytes, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Place:
    """Where a film is served; `token` is shown where there is one."""

    url: str
    token: str = ""


@dataclass(frozen=True)
class Asking:
    """How to ask: ranges of `length` bytes of a film of `size`, for how long, over how many."""

    size: int
    length: int
    seconds: int
    connections: int


def seconds_per_mebibyte(place: Place, asking: Asking, folder: Path) -> float:
    """Ask for ranges at random places until time is up; return what a MiB of answers took.

    Raises SystemExit when an answer was not what was asked for.
    """
    script = folder / "ask.lua"
    seed = int.from_bytes(os.urandom(3), "big")
    script.write_text(
        _ASK.format(size=asking.size, length=asking.length, token=place.token, seed=seed)
    )
    threads = min(2, asking.connections)
    argv = [ASKER, f"-t{threads}", f"-c{asking.connections}", f"-d{asking.seconds}s"]
    argv += ["--timeout", "30s", "-s", str(script), place.url]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    too_few = found["bytes"] < found["requests"] * asking.length
    too_many = asking.length < asking.size and found["bytes"] > 1.2 * asking.length * (
        found["requests"] + asking.connections
    )
    if found["faults"] or too_few or too_many or not found["bytes"]:
        raise SystemExit(f"{place.url} did not answer as asked ({found}): nothing was measured")
    return float(found["us"] / 1e6 / (found["bytes"] / 2**20))


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[str]:
    """Serve the files of `root` with nginx; yields its address."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(user=user, folder=folder, root=root, port=port))
    argv = ["nginx", "-e", str(folder / "nginx.log"), "-c", str(config), "-g", "daemon off;"]
    with started(argv, port, cwd=folder, environment=dict(os.environ)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def rclone(folder: Path, root: Path) -> Iterator[str]:
    """Serve the files of `root` with rclone from a copy that its crypt made; yields its address."""
    port = free_port()
    config = folder / "rclone.conf"
    sealed = folder / "sealed"
    config.write_text(
        f"[sealed]\ntype = crypt\nremote = {sealed}\n"
        f"password = {said_by('rclone', 'obscure', 'for benchmarks only')}\n"
        "filename_encryption = off\ndirectory_name_encryption = false\n"
    )
    base = ["rclone", "--config", str(config)]
    subprocess.run([*base, "copy", str(root), "sealed:"], check=True, capture_output=True)
    argv = [*base, "serve", "http", "sealed:", "--addr", f"127.0.0.1:{port}", "--read-only"]
    environment = {**os.environ, "RCLONE_LOG_FILE": str(folder / "rclone.log")}
    with started(argv, port, cwd=folder, environment=environment):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def flask(folder: Path, root: Path) -> Iterator[str]:
    """Serve the film of `root` from a bare Flask app, with as much of granian as ours has."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.peers.bare_flask", str(root / "film")]
    argv += [str(port), str(os.cpu_count()), str(THREADS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with started(argv, port, cwd=folder, environment=environment):
        yield f"http://127.0.0.1:{port}"


def version_of(name: str) -> str | None:
    """Return the version of a program or package; None where it is not installed."""
    if name == "flask":
        return f"Flask {version('flask')} under granian {version('granian')}"
    if not shutil.which(name):
        return None
    argv = {"nginx": ("nginx", "-v"), "rclone": ("rclone", "version"), "wrk": ("wrk", "-v")}[name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]
