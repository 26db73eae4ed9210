"""A backup of last week put back on PostgreSQL and S3, the journal in a write-once bucket.

Once by the service's own restore, and once behind the back of a node that goes on serving.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.ids import new_id
from consent_service.services import (
    assets,
    audit,
    erasure,
    startup,
)
from consent_service.settings import PREFIX
from tests.support.api import issue_token
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic
from tests.support.installation import close, found_installation
from tests.support.nodes import comes_true
from tests.support.postgres import PostgresServer
from tests.support.running import Running, running
from tests.support.safe import consenting_family, open_safe, restored
from tests.support.seaweed import Seaweed
from tests.support.week import a_week_passes, require_nothing_back


@pytest.fixture
def where(postgres_server: PostgresServer, object_store: Seaweed) -> dict[str, str]:
    """Databases, film and journal on servers, as on several nodes."""
    name = f"week_{new_id()}"
    return {
        "database_url": postgres_server.create(name),
        "keyring_url": postgres_server.create(f"{name}_keys"),
        "blob_url": object_store.store_url(),
        "journal_url": object_store.store_url(versions=True),
    }


@pytest.fixture
def clinic(where: dict[str, Any], tmp_path: Path) -> Iterator[Clinic]:
    """A clinic there; its clock moves when told."""
    found = found_installation(tmp_path / "desk", **where)
    yield found
    close(found)


@pytest.fixture
def node(clinic: Clinic, where: dict[str, str]) -> Iterator[Running]:
    """A web node there, and no worker."""
    environment = {f"{PREFIX}{name.upper()}": value for name, value in where.items()}
    folder = clinic.ctx.settings.data_dir
    with running(folder, verb=("serve",), **environment) as found:
        yield found


def test_a_backup_of_last_week_brings_nothing_back(clinic: Clinic, tmp_path: Path) -> None:
    """Nothing erased returns; who took it back stays locked; who was shut out stays out."""
    safe = open_safe(clinic, tmp_path)
    week = a_week_passes(clinic, safe)

    report = restored(clinic, safe, week.made, replace=True)

    require_nothing_back(clinic, week, report)
    clinic.passes(days=3)
    erasure.work(clinic.ctx, "when the seven days are over")
    for gone in (week.locked, week.locked_by_newcomer):
        assert assets.asset(clinic.ctx, clinic.ig, gone).state is AssetState.ERASED


def test_a_node_that_serves_notices_a_restored_database_and_a_cut_journal(
    clinic: Clinic, node: Running, where: dict[str, str], object_store: Seaweed, tmp_path: Path
) -> None:
    """Somebody restores beneath a running node: what ended since is gone there by itself."""
    family = consenting_family(clinic)
    film, token = clinic.stores_film(family).id, issue_token(clinic, clinic.guider)

    def answer() -> int:
        return node.call("GET", f"/recordings/{film}/content?purpose=care", token)[0]

    _publish(clinic)
    older = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    assert answer() == 200
    clinic.passes(minutes=5)
    clinic.withdraws(family, family.mother)
    _publish(clinic)
    assert comes_true(lambda: answer() == 410), answer()

    older.put_back()

    assert comes_true(lambda: answer() == 410), answer()
    assert comes_true(lambda: bool(clinic.written_down(EventKind.JOURNAL_REPLAYED)))

    bucket = urlsplit(where["journal_url"])
    client, prefix = object_store.client(), bucket.path.strip("/")
    last = client.list_objects_v2(Bucket=bucket.netloc, Prefix=prefix)["Contents"][-1]["Key"]
    marker = client.delete_object(Bucket=bucket.netloc, Key=last)["VersionId"]
    assert comes_true(lambda: answer() == 503), answer()
    client.delete_object(Bucket=bucket.netloc, Key=last, VersionId=marker)
    assert comes_true(lambda: answer() == 410), answer()


def _publish(clinic: Clinic) -> None:
    """Do what a worker does each minute."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)
