"""An EPICS area detector that we did not write, through `haadflow pva` and a chain."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from services.results import ResultStore
from services.runtime.places import Places
from tests.helpers.command import environment, haadflow, start
from tests.helpers.microscope_files import particle
from tests.helpers.up import FEW_CORES, Up

pytestmark = pytest.mark.system

CHANNEL = "haadf:image"
IMAGES = np.stack([particle(96, 128) + n for n in range(4)])
SERVER = Path(sys.executable).with_name("pvapy-ad-sim-server")
if importlib.util.find_spec("p4p") is None or not SERVER.exists():
    pytest.skip("p4p and pvapy are not installed (make epics)", allow_module_level=True)

from services.detectors.epics.ntndarray import content_of  # noqa: E402


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A chain for few cores."""
    with Up(tmp_path_factory.mktemp("chain"), shipped=FEW_CORES) as up:
        yield up


@pytest.fixture
def epics() -> dict[str, str]:
    """An environment for EPICS that reaches this machine only, on ports of its own."""
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        server, broadcast = (str(each.getsockname()[1]) for each in free)
    return environment() | {
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_BROADCAST_PORT": broadcast,
        "EPICS_PVA_SERVER_PORT": server,
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_BROADCAST_PORT": broadcast,
        "EPICS_PVAS_SERVER_PORT": server,
    }


@contextmanager
def detector(folder: Path, env: dict[str, str], rate: int = 20) -> Iterator[None]:
    """Publish the images over and over."""
    stack = folder / "stack.npy"
    np.save(stack, IMAGES)
    command = [SERVER, "-cn", CHANNEL, "-if", stack, "-fps", rate, "-rt", 120, "-std", 0, "-shd", 0]
    with subprocess.Popen(
        [*map(str, command), "-dc"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            yield
        finally:
            server.kill()


def test_images_of_an_area_detector_come_through_as_they_are(
    chain: Up, tmp_path: Path, epics: dict[str, str]
) -> None:
    with detector(tmp_path, epics):
        most = ("--most", "12", "--pixel-size", "0.2", "--composition", "Au40Cu60")
        done = haadflow("pva", CHANNEL, "--topology", chain.topology, *most, env=epics)
        assert done.returncode == 0, done.stderr
        assert "accepted 12, refused 0, unreadable 0" in done.stdout
        chain.until(lambda s: s["located"] == 12)
        with ResultStore(Places(chain.out).results) as store:
            found = [record.outcome.envelope.metadata for record in store.records()]
    # By content: a server counts its images as it likes.
    contents = [each.extra["content"] for each in found]
    assert set(contents) <= {content_of(image) for image in IMAGES}
    assert len(set(contents)) == len(IMAGES)
    assert {each.pixel_size_nm for each in found} == {0.2}
    assert {each.composition for each in found} == {"Au40Cu60"}
    assert len({each.parent_id for each in found}) == 12


def test_a_detector_that_comes_late_is_waited_for_and_ctrl_c_ends_it(
    chain: Up, tmp_path: Path, epics: dict[str, str]
) -> None:
    before = chain.status()["located"]
    bridge = start("pva", CHANNEL, "--topology", chain.topology, env=epics)
    try:
        with detector(tmp_path, epics):
            chain.until(lambda s: s["located"] > before + 3)
        psutil.Process(bridge.pid).send_signal(signal.SIGINT)
        said, _ = bridge.communicate(timeout=60)
    finally:
        bridge.kill()
    assert bridge.returncode == 0, said
    assert int(re.findall(r"accepted (\d+)", said)[0]) > 3


def test_without_p4p_it_is_said_what_is_missing() -> None:
    code = "import sys; sys.modules['p4p'] = None; from services.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "pva", CHANNEL, "--to", "ipc:///tmp/nobody"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 2
    assert "p4p, which is not installed: pip install -e '.[epics]'" in done.stderr
