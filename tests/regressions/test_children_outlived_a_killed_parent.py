"""Web server and worker went on when their parent was killed: the next start found its port taken."""

import os
import select
import signal
from pathlib import Path

from tests.support.installation import close, found_installation
from tests.support.running import running

SECONDS = 30


def test_nothing_of_a_service_outlives_its_parent(tmp_path: Path) -> None:
    """An orphaned worker would go on erasing and sealing beside the one that is started next."""
    close(found_installation(tmp_path / "data"))
    with running(tmp_path / "data") as service:
        started = [os.pidfd_open(pid) for pid in service.processes()[1:]]
        assert len(started) >= 2

        service.process.send_signal(signal.SIGKILL)

        ended = [bool(select.select([process], [], [], SECONDS)[0]) for process in started]
        for process in started:
            os.close(process)
    assert all(ended)
