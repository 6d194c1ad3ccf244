"""Detectors at a chain that is up: the Python class, a client in C, the replaying emulator."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from pipeline.emulation import emulate
from protocols import decode, split_parts
from protocols.messages import Offer
from services.detectors.client import Detector
from services.results import ResultStore
from services.runtime.places import Places
from services.runtime.topology import Topology
from tests.helpers.command import haadflow
from tests.helpers.microscope_files import particle
from tests.helpers.up import FEW_CORES, Up
from tests.helpers.wire_vectors import VECTORS, meaning_of, read_vector

pytestmark = pytest.mark.system

SOURCE = Path(__file__).parents[2] / "deploy" / "clients" / "detector.c"
STRICT = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-O2")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A chain for few cores."""
    with Up(tmp_path_factory.mktemp("chain"), shipped=FEW_CORES) as up:
        yield up


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client in C, built against the libzmq that pyzmq brings, of which there is no header."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) here")
    libraries = sorted((Path(zmq.__file__).parents[1] / "pyzmq.libs").glob("libzmq*.so*"))
    if not libraries:
        pytest.skip("this pyzmq brings no libzmq of its own")
    program = tmp_path_factory.mktemp("client") / "detector"
    library = libraries[0]
    where = (f"-Wl,-rpath,{library.parent}",)
    subprocess.run(
        [compiler, *STRICT, "-o", program, SOURCE, library, *where], check=True, timeout=60
    )
    return program


def run(client: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [client, *map(str, arguments)], capture_output=True, timeout=90, check=False
    )


def write_pgm(path: Path, image: NDArray[Any]) -> Path:
    head = f"P5\n{image.shape[1]} {image.shape[0]}\n{np.iinfo(image.dtype).max}\n"
    path.write_bytes(head.encode() + image.astype(image.dtype.newbyteorder(">")).tobytes())
    return path


def parents(up: Up, count: int) -> dict[str, str]:
    """Return outcome by parent_id when at least so many frames are closed."""
    up.until(lambda s: s["located"] + s["rejected"] + s["failed"] >= count)
    with ResultStore(Places(up.out).results) as store:
        return {
            record.outcome.envelope.metadata.parent_id: type(record.outcome).__name__
            for record in store.records()
        }


@pytest.mark.parametrize("name", ["accepted", "foreign_accepted", "refused"])
def test_the_client_in_c_reads_the_test_vectors(client: Path, name: str) -> None:
    said = run(client, "--answer", VECTORS / f"{name}.bin").stdout.decode().strip()
    fields = read_vector(name)[1]["fields"]
    if name == "refused":
        assert said == f"Refused {fields['offer']}  0 {fields['reason']}"
    else:
        assert said == f"Accepted {fields['offer']} {fields['run']} {fields['seq']}"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_client_in_c_writes_what_the_wire_format_says(
    client: Path, tmp_path: Path, dtype: type[np.uint8 | np.uint16]
) -> None:
    image = (particle() // (4 if dtype is np.uint8 else 1)).astype(dtype)
    written = run(client, "--offer", write_pgm(tmp_path / "a.pgm", image)).stdout
    offer = decode(split_parts(written), expect=(Offer,))
    assert np.array_equal(offer.image, image)
    meaning = meaning_of(offer)
    expected = read_vector("offer_bare")[1]
    expected["fields"]["metadata"] |= {"parent_id": "s-a.pgm", "source": "detector in C"}
    assert meaning["fields"] == expected["fields"]


def test_the_client_in_c_gets_its_images_through_a_chain(
    client: Path, chain: Up, tmp_path: Path
) -> None:
    images = [write_pgm(tmp_path / f"{n}.pgm", particle() + n) for n in range(20)]
    odd = write_pgm(tmp_path / "line\nbreak.pgm", particle())
    address = Topology.load(chain.topology).source.offers
    assert address is not None
    before = chain.status()["accepted"]
    done = run(client, address, *images[:10], odd, *images[10:])
    assert done.returncode == 3, done.stderr
    said = done.stdout.decode()
    accepted = re.findall(r"^accepted (\S+) \w+ (\d+)$", said, re.MULTILINE)
    assert sorted(Path(name) for name, _ in accepted) == sorted(images)
    assert said.count("refused") == 1
    assert "parent_id" in said.partition("refused")[2]
    outcomes = parents(chain, before + len(images))
    assert all(
        any(name.endswith(f"-{path.name}") and how == "Located" for name, how in outcomes.items())
        for path in images
    )


def test_the_client_in_c_gives_up_where_nobody_answers_an_address(client: Path) -> None:
    done = run(client, "garbage", SOURCE)
    assert done.returncode == 1
    assert b"cannot connect to garbage" in done.stderr


def test_the_class_in_python_is_as_short_as_promised(chain: Up) -> None:
    address = Topology.load(chain.topology).source.offers
    assert address is not None
    before = chain.status()["accepted"]
    with Detector(address, name="camera") as d:
        name = d.send(particle(), composition="Au40Cu60", pixel_size_nm=0.2)
    assert d.accepted == 1
    assert parents(chain, before + 1)[name] == "Located"


def test_the_emulator_replays_at_a_rate_with_gaps_duplicates_and_late_frames(chain: Up) -> None:
    before = chain.status()["accepted"]
    command = ("send", "--topology", chain.topology, "--synthetic", "40", "--seed", "3")
    started = time.monotonic()
    done = haadflow(
        *command, "--rate", "20", "--gaps", "0.2", "--duplicates", "0.5", "--late", "0.2"
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started > 1.9  # forty places in time, some of them empty
    left_out, twice, late = map(int, re.findall(r"\d+", done.stdout.splitlines()[0]))
    assert left_out > 0
    assert twice > 0
    assert late > 0
    assert f"accepted {40 - left_out}, refused 0, unreadable 0" in done.stdout
    outcomes = parents(chain, before + 40 - left_out)
    names = [name for name in outcomes if name.startswith("synthetic-3/")]
    assert len(names) == 40 - left_out
    assert not [name for name in names if "#" in name]  # what was offered twice is there once
    first = emulate(0, 3)
    assert any(first.composition in name for name in names)
    assert chain.status()["accepted"] == before + 40 - left_out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "expected images, or --synthetic N"),
        (("x.png", "--synthetic", "3"), "expected images, or --synthetic N"),
        (("--synthetic", "3", "--to", "ipc:///tmp/x", "--difficulty", "odd"), "expected plain"),
    ],
)
def test_wishes_that_make_no_sense_are_named(arguments: tuple[str, ...], complaint: str) -> None:
    done = haadflow("send", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
