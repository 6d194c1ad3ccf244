"""A chain over several hosts, of which links break: namespaces with cables between them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.account import read_account
from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.ledger import Ledger
from services.runtime.places import Places
from services.runtime.worker import PREFETCH
from tests.helpers.command import environment
from tests.helpers.gate import Gate
from tests.helpers.hosts import Hosts, NoHosts
from tests.helpers.soak import soak
from tests.helpers.up import PAIRS
from tests.helpers.wait import until

pytestmark = pytest.mark.system

N = 12
FIRST, SECOND = "image_to_particle", "particle_to_boxes"
NEVER = 3_000.0
"""Seconds: neither silence nor a deadline brings anything back within a test."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=12, sizes=(96,))
    return folder


class Spread:
    """Source, queues, two hosts of workers and the sink, each on a host of its own."""

    def __init__(self, hosts: Hosts, folder: Path, library: Path, *, quiet_s: float) -> None:
        self.hosts = hosts
        self.places = Places(folder / "out")
        self.places.make()
        Ledger(self.places.ledger).close()
        self.gate = Gate(folder / "gate", SECOND)
        self.topology = folder / "topology.toml"
        self._library = library
        text = PAIRS.read_text().replace('"haadflow-out"', json.dumps(str(self.places.out)))
        for key, host in (
            (r"control|beats|offers|closed", "source"),
            ("results", "sink"),
            ("frames|work", "queues"),
        ):
            text = re.sub(
                rf'^({key}) = "tcp://127\.0\.0\.1:',
                rf'\1 = "tcp://{hosts.address[host]}:',
                text,
                flags=re.MULTILINE,
            )
        text = text.replace("workers = 1", f"deadline_s = {NEVER}\nworkers = 1")
        text = text.replace("[source]", f"[source]\nquiet_s = {quiet_s}")
        self.topology.write_text(text + "\n[security]\nopen_network = true\n")
        for name, host, *role in (
            ("sink", "sink", "sink"),
            ("queue 1", "queues", "queue", FIRST),
            ("queue 2", "queues", "queue", SECOND),
            ("source", "source", "source"),
        ):
            self.start(name, host, *role)
        for host in ("here", "there"):
            self.start(f"{host} 1", host, "worker", FIRST)

    def start(self, name: str, host: str, *role: str, gated: bool = False) -> psutil.Process:
        env = self.gate.environment if gated else environment()
        return self.hosts.start(name, host, *role, "--topology", self.topology, env=env)

    @property
    def services(self) -> list[psutil.Process]:
        return list(self.hosts.processes.values())

    def send(self) -> None:
        sent = self.hosts.haadflow("source", "send", self._library, "--topology", self.topology)
        assert sent.returncode == 0, sent.stderr

    def until_accepted(self, frames: int) -> None:
        """Wait until so many frames have been accepted in all."""
        with Ledger(self.places.ledger, read_only=True) as ledger:
            until(lambda: ledger.highest() + 1 >= frames, self.services, said=self.hosts.said)

    def until_open(self, at_most: int) -> None:
        """Wait until no more frames are open."""
        with Ledger(self.places.ledger, read_only=True) as ledger:
            until(lambda: ledger.open_count() <= at_most, self.services, said=self.hosts.said)

    def hold_one(self) -> None:
        """Have the worker of the one host hold a frame; that of the other has done the rest."""
        self.gate.set_up()
        self.start("there 2", "there", "worker", SECOND, gated=True)
        self.send()
        until(self.gate.holder, self.services, said=self.hosts.said)
        self.start("here 2", "here", "worker", SECOND)
        self.until_open(PREFETCH)  # the one in hand, and those that lie behind it

    def attempts(self) -> list[int]:
        with ResultStore(self.places.results) as store:
            return [outcome.envelope.attempt for outcome in store.results()]

    def accounts_for(self, frames: int) -> None:
        account = read_account(self.places)
        assert account.closes
        assert account.accepted == account.located == frames


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    try:
        with Hosts(("source", "queues", "here", "there", "sink"), tmp_path / "hosts.log") as hosts:
            yield hosts
    except NoHosts as error:
        pytest.skip(str(error))


@soak
@pytest.mark.parametrize("how", ["cut", "swallowed"])
def test_what_a_worker_behind_a_broken_link_holds_goes_to_another_and_it_may_come_back(
    how: str,
    hosts: Hosts,
    library: Path,
    tmp_path: Path,
) -> None:
    """Only the lease can have brought it back: deadline and silence take an hour here."""
    chain = Spread(hosts, tmp_path, library, quiet_s=NEVER)
    chain.hold_one()
    if how == "cut":
        hosts.cut("there")
    else:
        hosts.swallow("there", "queues")
    broken = time.monotonic()
    chain.until_open(0)
    print(f"{time.monotonic() - broken:.2f} s from the link {how} to the last frame's commit")
    before = chain.attempts()
    assert 1 <= sum(attempt > 1 for attempt in before) <= PREFETCH
    if how == "cut":
        hosts.mend("there")
    else:
        hosts.swallow("there", "queues", begin=False)
    chain.gate.open()  # its late answer changes nothing
    for name in ("here 1", "here 2"):
        hosts.end(name)
    chain.send()
    chain.until_open(0)  # all through the workers that came back
    assert chain.attempts()[:N] == before
    chain.accounts_for(2 * N)


@soak
def test_any_cable_may_be_pulled_while_images_stream(
    hosts: Hosts, library: Path, tmp_path: Path
) -> None:
    """Each in turn, until its peers know that it is gone; what was on the way comes again."""
    chain = Spread(hosts, tmp_path, library, quiet_s=2.0)
    chain.start("here 2", "here", "worker", SECOND)
    chain.start("there 2", "there", "worker", SECOND)
    rounds = 60
    sender = hosts.start_haadflow(
        "source", "send", library, "--repeat", str(rounds), "--topology", chain.topology
    )
    for count, host in enumerate(("sink", "queues", "there", "source"), 1):
        chain.until_accepted(count * 2 * N)
        hosts.cut(host)
        until(lambda: not hosts.connected(host), chain.services, said=hosts.said)  # noqa: B023
        hosts.mend(host)
    assert sender.wait(120) == 0, hosts.said()
    chain.until_open(0)
    chain.accounts_for(rounds * N)


@soak
def test_on_a_slow_link_nothing_is_taken_for_lost(
    hosts: Hosts, library: Path, tmp_path: Path
) -> None:
    """A window full of images takes longer than the heartbeats have patience."""
    chain = Spread(hosts, tmp_path, library, quiet_s=NEVER)
    chain.start("here 2", "here", "worker", SECOND)
    if not hosts.cap("queues", "1mbit"):
        pytest.skip("this kernel, or this machine, cannot cap a link's rate")
    for _ in range(3):
        chain.send()
    chain.until_open(0)
    chain.accounts_for(3 * N)
    assert set(chain.attempts()) == {1}
