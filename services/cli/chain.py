"""`up`, `down`, `status`, `scale`, `worker`, `check`: the chain as services on this host."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import psutil
import typer

from protocols.messages import Answer, Command
from services.account import read_account
from services.chain import NoChain, ask
from services.runtime import exit_codes
from services.runtime.ledger import Ledger
from services.runtime.places import Places
from services.runtime.roles import Role
from services.runtime.status import ChainStatus
from services.runtime.topology import Topology, TopologyError

from .options import Json, TopologyFile, seconds
from .terminal import (
    account_line,
    complain,
    exit_status,
    fail,
    held,
    out,
    print_json,
    status_table,
)
from .write import write_results

HERE: tuple[Role, ...] = ("operator", "supervisor", "source", "queue", "worker", "sink")
"""Whose keys the host needs that a chain is brought up on."""
READY_S = 120.0
DOWN_S = 60.0


def up(
    topology: TopologyFile = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Instead of the topology's chain.out.")
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, as systemd and containers want it.")
    ] = False,
    feed: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Offer boxes to scan controllers here; see `controller`."
        ),
    ] = None,
) -> None:
    """Start the chain on this host; return when every stage has its workers."""
    from services.files_run import OtherRun, check_name

    chain = load(topology)
    if feed is not None:
        try:
            chain = chain.feeding(feed)
        except TopologyError as error:
            fail(f"--feed: {error}")
    places = Places((out_dir or Path(chain.chain.out)).absolute())
    try:
        check_name(places.out)
    except OtherRun as error:
        fail(str(error))
    _check_stages(chain, topology)
    _check_folders(chain, topology, places.out)
    _check_keys(chain, *_here(chain))
    if _answers(chain):
        fail(f"a chain is already up at {chain.chain.control}", exit_codes.BROKEN)
    # Nothing is written before the supervisor holds the folder, but that it has a log.
    command = [sys.executable, "-m", "services", "supervisor"]
    command += ["--topology", str(find_topology(topology)), "--out", str(places.out)]
    command += [] if feed is None else ["--feed", feed]
    if foreground:
        os.execv(sys.executable, command)  # noqa: S606 - becomes the supervisor
    places.make()
    log = places.supervisor_log
    with log.open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with out.status("starting the chain"):
            answer = _wait_until_ready(chain, process, log, before)
    except KeyboardInterrupt:
        process.terminate()
        process.wait(DOWN_S)
        raise
    _show(answer)
    out.print(f"\nup; images to {chain.source.offers}, results in {places.out}")
    if chain.is_open and chain.reachable():
        complain(f"this chain is {_who_may_come(chain)}")


def status(topology: TopologyFile = None, as_json: Json = False) -> None:
    """Show each stage's workers, queue, rate and oldest frame, and the account so far."""
    answer = _ask(load(topology), Command(verb="status"))
    if as_json:
        print_json(answer.figures)
    else:
        _show(answer)


def scale(
    setting: Annotated[str, typer.Argument(metavar="STAGE=N", help="As in preprocessing=3.")],
    topology: TopologyFile = None,
) -> None:
    """Change the number of one stage's workers while images stream."""
    stage, workers = parse_workers([setting]).popitem()
    answer = _ask(load(topology), Command(verb="scale", stage=stage, workers=workers))
    if not answer.ok:
        fail(answer.text)
    waits = "" if workers else "; its frames wait until it has some again"
    out.print(f"{stage}: {workers} workers{waits}")


def down(
    topology: TopologyFile = None,
    drain: Annotated[
        float,
        typer.Option(
            help="Seconds to wait for open frames before stopping.", callback=seconds, min=0
        ),
    ] = 30.0,
    pictures: Annotated[
        int, typer.Option(help="Overlays of the first N images; 0 for none.", min=0)
    ] = 100,
) -> None:
    """Let open frames finish, stop the chain, write its tables."""
    chain = load(topology)
    answer = _ask(chain, Command(verb="status"))
    places = Places(Path(answer.figures["out"]))
    supervisor = psutil.Process(int(answer.figures["pid"]))
    with out.status("waiting for open frames"):
        _wait_until_closed(places, supervisor, drain)
    _ask(chain, Command(verb="down"))
    with out.status("stopping"):
        try:
            supervisor.wait(DOWN_S)
        except psutil.TimeoutExpired:
            fail(
                f"the supervisor, process {supervisor.pid}, has not ended within {DOWN_S:g} s",
                exit_codes.BROKEN,
            )
    write_results(places, pictures=pictures)
    account = read_account(places)
    out.print(account_line(account), soft_wrap=True)
    out.print(f"boxes.csv, frames.csv, summary.json and pictures are in {places.out}")
    if account.in_flight:
        complain(f"{account.in_flight} frames are still open; `haadflow up` goes on with them")
    raise typer.Exit(exit_status(account))


def worker(
    stage: Annotated[str, typer.Argument(help="A stage of the topology.")],
    topology: TopologyFile = None,
) -> None:
    """Run one worker here, for a chain on this or another machine; Ctrl-C ends it."""
    chain = load(topology)
    try:
        chain.stage_named(stage)
    except TopologyError as error:
        fail(str(error))
    _check_stages(chain, topology)
    _check_keys(chain, "worker")
    command = [sys.executable, "-m", "services", "worker", stage]
    command += ["--topology", str(find_topology(topology))]
    os.execv(sys.executable, command)  # noqa: S606 - becomes the worker


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]", help="Images and folders to read too.")
    ] = None,
    topology: TopologyFile = None,
    recursive: Annotated[bool, typer.Option(help="Folders inside folders too.")] = False,
    metadata: Annotated[Path | None, typer.Option(help="Table, as for run.")] = None,
) -> None:
    """Check the topology, every stage's parameters and the keys; connect nothing.

    With images: that they can be read, and that every row of their tables means one of them.
    """
    if metadata is not None and not paths:
        fail("--metadata: expected images too, whose table it is")
    chain = load(topology)
    _check_stages(chain, topology)
    _check_folders(chain, topology, Path(chain.chain.out))
    _check_keys(chain, *_here(chain))
    out.print(
        f"{find_topology(topology)}: {len(chain.stage)} stages, as it should be; "
        f"{_who_may_come(chain)}",
        markup=False,
        soft_wrap=True,
    )
    if paths:
        from services.intake import limits_of

        from .checking import check_images

        check_images(paths, recursive=recursive, table=metadata, limits=limits_of(chain.source))


def _check_stages(chain: Topology, given: Path | None) -> None:
    from services.runtime.settings_file import Problem, read_settings, told
    from services.stages import check_stages

    try:
        check_stages(chain)
    except TopologyError as error:
        path = find_topology(given)
        fail(told(path, read_settings(path)[1], [Problem(error.key, str(error))]))


def _check_folders(chain: Topology, given: Path | None, out_dir: Path) -> None:
    """See that the output can be a folder, and that the Unix sockets have one; make none."""
    from services.runtime.settings_file import Problem, read_settings, told
    from services.runtime.topology import IPC

    problems = []
    if (wrong := no_folder(out_dir)) is not None:
        problems.append(Problem(("chain", "out"), wrong))
    for (where, address), key in zip(chain.addresses(), chain.address_keys(), strict=True):
        if address.startswith(IPC):
            folder = Path(address.removeprefix(IPC)).parent
            if not folder.is_dir():
                problems.append(Problem(key, f"there is no folder {folder}", where))
    if problems:
        path = find_topology(given)
        fail(told(path, read_settings(path)[1], problems))


def _here(chain: Topology) -> tuple[Role, ...]:
    return HERE if chain.feed.batches is None else (*HERE, "feed")


def _check_keys(chain: Topology, *roles: Role) -> None:
    """See that this host has the keys of these roles; KeysError names what is missing."""
    from services.runtime.keyring import Keyring

    Keyring.of(chain).check(roles)


def _who_may_come(chain: Topology) -> str:
    if not chain.is_open:
        return f"only keys that {chain.security.keys} allows are let in"
    if addresses := chain.reachable():
        return f"open, without keys, to every machine that reaches {', '.join(addresses)}"
    return "without keys, open to the processes of this machine"


def no_folder(path: Path) -> str | None:
    """Say why there cannot be a folder here, or None."""
    try:
        for place in (path, *path.parents):
            if place.exists():
                return None if place.is_dir() else f"{place} is a file; expected a folder"
    except OSError as error:
        return f"{os.fspath(path):.80}: {error.strerror}"
    return None


def find_topology(given: Path | None) -> Path:
    """Return the topology file: the one given, ./deploy's, or the checkout's own."""
    if given is not None:
        return given
    here = Path("deploy/topology.toml")
    return here if here.exists() else Path(__file__).parents[2] / here


def load(given: Path | None) -> Topology:
    """Read the topology, or end with what is wrong in it."""
    try:
        return Topology.load(find_topology(given))
    except TopologyError as error:
        fail(str(error))


def parse_workers(settings: list[str]) -> dict[str, int]:
    """Read `STAGE=N` settings, or end with the one that is wrong."""
    workers: dict[str, int] = {}
    for setting in settings:
        stage, _, number = setting.partition("=")
        if not stage or not number.isdecimal() or int(number) > 1024:
            fail(f"{setting!r}: expected STAGE=N with N from 0 to 1024, as in preprocessing=3")
        if stage in workers:
            fail(f"{setting!r}: {stage} is there twice")
        workers[stage] = int(number)
    return workers


def _show_feed(feed: dict[str, int], folder: str) -> None:
    """Say what has become of the boxes, and what somebody has to decide."""
    ended = feed["acquired"] + feed["refused"] + feed["box_failed"]
    out.print(
        f"boxes {feed['boxes']} = acquired {feed['acquired']} + rejected {feed['refused']} + "
        f"failed {feed['box_failed']} + open {feed['boxes'] - ended}; "
        f"{feed['controllers']} controllers; batches: {feed['waiting']} waiting, "
        f"{feed['offered']} offered, {feed['started']} under the beam, {feed['held']} held, "
        f"{feed['done']} done",
        soft_wrap=True,
    )
    if feed["held"]:
        complain(f"{held(feed['held'])}; `haadflow hold list {folder}` says why")
    if feed["late"]:
        complain(f"{feed['late']} receipts came late and differ from those that are kept")


def _ask(chain: Topology, command: Command) -> Answer:
    try:
        return ask(chain, command)
    except NoChain as error:
        fail(str(error), exit_codes.BROKEN)


def _answers(chain: Topology) -> bool:
    try:
        ask(chain, Command(verb="status"), timeout_ms=300)
    except NoChain:
        return False
    return True


def _wait_until_closed(places: Places, supervisor: psutil.Process, seconds: float) -> None:
    """Return when the ledger holds no open frame, the chain is gone, or the time is up.

    The ledger, not the source's figures: a source that is being started again reports none.
    """
    deadline = time.monotonic() + seconds
    with Ledger(places.ledger, read_only=True) as ledger:
        while ledger.open_count() and supervisor.is_running() and time.monotonic() < deadline:
            time.sleep(0.2)


def _wait_until_ready(
    chain: Topology, process: subprocess.Popen[bytes], log: Path, before: int
) -> Answer:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            fail(
                f"the chain did not start; the end of {log}:\n{_tail(log, before)}",
                exit_codes.BROKEN,
            )
        try:
            answer = ask(chain, Command(verb="status"), timeout_ms=500)
        except NoChain:
            continue
        stages = answer.figures["stages"]
        if all(s["workers"] >= answer.figures["wanted"][s["stage"]] for s in stages):
            return answer
        time.sleep(0.1)
    process.terminate()
    fail(f"the chain was not ready within {READY_S:g} s; see {log.parent}", exit_codes.BROKEN)


def _tail(log: Path, before: int) -> str:
    """Return the last lines of a log behind what it held before."""
    written = log.read_bytes()[before:].decode(errors="replace")
    return "\n".join(written.splitlines()[-12:])


def _show(answer: Answer) -> None:
    status = msgspec.convert(answer.figures, ChainStatus)
    out.print(status_table(status, answer.figures["wanted"]))
    out.print(
        f"\naccepted {status.accepted}, located {status.located}, rejected {status.rejected}, "
        f"failed {status.failed}, open {status.open}; {status.rate:.1f} frames/s"
    )
    if status.bad_input:
        told = ", ".join(f"{name} {count}" for name, count in status.bad_input.items())
        complain(f"refused as no messages of this chain: {told}; their logs say what came")
    if status.open > status.in_flight or status.detectors_wait:
        waiting = max(0, status.open - status.in_flight)
        out.print(
            f"behind the detectors by {status.lag_s:.0f} s: {waiting} frames wait at the source, "
            f"{status.spool_mib:.1f} MiB in its spool"
            + ("; as much as may be, so detectors wait" if status.detectors_wait else "")
        )
    if status.feed:
        _show_feed(status.feed, answer.figures["out"])
    if status.waits_for_disk:
        complain(f"the disk of {answer.figures['out']} is full; the chain waits for room")
    if status.turned_away:
        logs = Places(Path(answer.figures["out"])).logs
        complain(f"peers were turned away {status.turned_away} times; the logs in {logs} say who")
