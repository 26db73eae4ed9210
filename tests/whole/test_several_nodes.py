"""Two web nodes and a worker over PostgreSQL, S3 and a key server, each a real process.

Web nodes may put keys under escrow and take none out: the key server sees to that.
"""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator

import pytest

from consent_service.domain.erasure import OrderState
from consent_service.vault.keyring import KeyStatus, Zone
from consent_service.vault.keyring_values import SHARDS
from tests.support.films import heavy_film
from tests.support.nodes import Nodes, comes_true, several_nodes
from tests.support.running import Running

CUT_WITHIN = 5.0
PIECE = 8192
PACE = 0.1
"""80 kB a second: a telephone at the edge of its network."""
AMISS = {
    "database": {"database", "schema", "keyring", "keys"},
    "store": {"store"},
    "keys": {"keys"},
}
"""Which server is away, and what nodes then say they lack."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """One installation for all stories, each with a family of its own."""
    with several_nodes(tmp_path_factory.mktemp("nodes")) as found:
        yield found


def _stream(node: Running, path: str, token: str) -> http.client.HTTPResponse:
    """Begin to read a film like a slow telephone: a small window, and no more than one piece."""
    connection = node.connect(timeout=30)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sock.settimeout(30)
    connection.sock.connect(("127.0.0.1", node.port))
    connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.read(PIECE)
    return response


def _read_on(response: http.client.HTTPResponse) -> tuple[int, float]:
    """Read slowly until nothing more comes: how many bytes, and seconds until the last of them."""
    began, last, count, pieces = time.monotonic(), 0.0, 0, 0
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        while piece := response.read(PIECE):
            count, last, pieces = count + len(piece), time.monotonic() - began, pieces + 1
            # By the clock, so that a busy machine does not read what lies in buffers for longer.
            time.sleep(max(0.0, began + pieces * PACE - time.monotonic()))
    return count, last


def test_a_stop_on_one_node_cuts_off_who_watches_on_another(
    nodes: Nodes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever somebody says stop, nobody goes on watching, and nothing of the film stays."""
    family = nodes.clinic.family()
    nodes.clinic.both_consent(family)
    film = nodes.stores(family, heavy_film())
    keys = [entry.key_id for entry in nodes.clinic.ctx.keyring.list_keys(Zone.LIVE)]
    assert nodes.versions_of(film)
    stream = _stream(nodes.two, f"/recordings/{film}/content?purpose=care", nodes.guider)

    status, said = nodes.withdraws(family)
    assert status in (200, 201, 202), said
    count, seconds = _read_on(stream)

    with capsys.disabled():
        print(f"\nThe last byte left node 2 {seconds:.2f} s after a stop on node 1.")
    assert count + PIECE < int(stream.headers["Content-Length"])
    assert seconds < CUT_WITHIN
    assert nodes.watches(film) == 410
    order = said["erasure_order"]["id"]
    assert comes_true(lambda: nodes.state(order) == OrderState.DONE), nodes.state(order)
    assert nodes.versions_of(film) == []
    gone = nodes.clinic.ctx.keyring.status(keys).values()
    assert KeyStatus.DESTROYED in gone
    status, certificate = nodes.one.call("GET", f"/erasure-orders/{order}/certificate", nodes.ig)
    assert status == 200
    assert [row["asset"] for row in certificate["certificate"]["destroyed"]] == [film]


def test_a_web_node_shuts_a_film_away_and_only_the_worker_gives_it_back(nodes: Nodes) -> None:
    """Within the undo window the web must be locked out too, by the key server, at once."""
    family = nodes.clinic.family()
    nodes.clinic.both_consent(family)
    film = nodes.stores(family)
    before = {entry.key_id for entry in nodes.clinic.ctx.keyring.list_keys(Zone.LIVE)}

    status, said = nodes.withdraws(family, speed="seven_days")

    assert status in (200, 201, 202), said
    sealed = [e for e in nodes.clinic.ctx.keyring.list_keys(Zone.ESCROW) if e.key_id in before]
    assert sealed
    assert all(entry.shard >= SHARDS for entry in sealed), "not sealed by the web node"
    assert nodes.watches(film) == 410

    body = {"by": family.mother}
    status, said = nodes.two.call(
        "POST", f"/withdrawals/{said['withdrawal']['id']}/cancel", nodes.guider, body
    )
    assert status == 200, said
    assert comes_true(lambda: nodes.watches(film) == 200), nodes.watches(film)


def _amiss(node: Running) -> set[str]:
    """What a node says it lacks."""
    connection = node.connect()
    connection.request("GET", "/health/ready")
    answer = connection.getresponse()
    checks = json.loads(answer.read())["checks"]
    connection.close()
    assert answer.status == (200 if all(checks.values()) else 503)
    return {name for name, good in checks.items() if not good}


@pytest.mark.parametrize("server", AMISS)
def test_an_outage_releases_nothing_and_loses_nothing(nodes: Nodes, server: str) -> None:
    """While a server is away every answer is no; a stop that was taken is carried out after."""
    family, others = nodes.clinic.family(), nodes.clinic.family()
    for home in (family, others):
        nodes.clinic.both_consent(home)
    film, kept = nodes.stores(family), nodes.stores(others)

    with nodes.servers.away(server):
        assert _amiss(nodes.two) >= AMISS[server]
        assert nodes.watches(kept) == 503
        status, said = nodes.withdraws(family)
        if server == "database":
            assert status == 503
        else:
            assert status in (200, 201, 202), said
            assert nodes.watches(film) == 410

    assert comes_true(lambda: nodes.watches(kept) == 200), nodes.watches(kept)
    if server == "database":
        status, said = nodes.withdraws(family)
        assert status in (200, 201, 202), said
    order = said["erasure_order"]["id"]
    assert comes_true(lambda: nodes.state(order) == OrderState.DONE), nodes.state(order)
    assert nodes.versions_of(film) == []
    assert nodes.versions_of(kept)
    assert nodes.watches(film) == 410
