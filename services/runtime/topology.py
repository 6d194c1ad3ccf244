"""The chain as it is written in `deploy/topology.toml`: addresses, workers, parameters.

Unknown keys, wrong types, duplicate names and unusable addresses are refused with the file and the
place in it. Nothing here connects anything.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self, get_args

import msgspec
from msgspec import Meta, Struct, field

from protocols.scanning import Order

from .durable import Durability
from .settings_file import Key, Problem, SettingsError, convert, read_settings, spelt, told

IPC = "ipc://"
_ADDRESS = r"^(tcp://[^\s:]+:\d{1,5}|tcp://\[[0-9A-Fa-f:]+\]:\d{1,5}|ipc:///\S+)$"
Address = Annotated[str, Meta(pattern=_ADDRESS)]
Positive = Annotated[int, Meta(ge=1, le=2**62)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=1e9)]
_STAGE_NAME = r"\A[a-z][a-z0-9_]{0,63}\Z"
StageName = Annotated[str, Meta(pattern=_STAGE_NAME)]

MOST_PIXELS = 1 << 28
"""Of one image, if nothing else is said."""

MOST_WORKERS = 1024
"""Of one stage on one host."""

IPC_PATH_LIMIT = 100
"""A Unix socket's path has at most 107 characters on Linux, 103 on macOS."""


class TopologyError(ValueError):
    """The topology is wrong: which file, which key, what came, what was expected.

    Parameters
    ----------
    key
        Where it stands in the file, if the text does not say so.
    """

    def __init__(self, text: str, *, key: Key = ()) -> None:
        super().__init__(text)
        self.key = key


class ChainTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What concerns the chain as a whole."""

    out: str = "haadflow-out"
    """Where ledger, results and tables go; relative to the working directory of `up`."""
    control: Address = "tcp://127.0.0.1:5740"
    """The supervisor answers `status`, `scale` and `down` here."""
    beats: Address = "tcp://127.0.0.1:5741"
    """Every service reports to the supervisor here."""


class SourceTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where frames enter."""

    offers: Address | None = None
    """Detectors offer images here; None takes only what is in the ledger."""
    closed: Address = "tcp://127.0.0.1:5751"
    """The sink acknowledges here."""
    window_frames: Positive = 64
    """Frames in the chain and not yet closed, at most."""
    window_bytes: Positive = 256 * 1024 * 1024
    """Their images together, at most."""
    max_pixels: Positive = MOST_PIXELS
    """Of one image, from a file or a detector: what is larger is refused before it is decoded."""
    max_image_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 1 << 30
    """Of one image, decoded; no more than the wire format carries."""
    max_file_bytes: Positive = 1 << 31
    """Of the file an image is read from."""
    max_pages: Positive = 1000
    """Of a TIFF, thumbnails included; more of them are not even counted."""
    spool: bool = True
    """Offered images are on disk before they are accepted. If not, they are in memory only, and an
    offer is answered when its frame has ended: until then the detector keeps the image."""
    spool_bytes: Positive | None = None
    """Images of open frames on the disk, at most; a detector that is faster than the chain for so
    long then waits. None takes what the disk has. A single larger image passes, alone."""
    holds_first_queue: bool = False
    """The first stage's queue runs in the source's process: an image crosses a socket less."""
    keep_first: Annotated[int, Meta(ge=0, le=2**62)] = 100
    """Images of so many frames outlive their frame in the spool, for the pictures."""
    durability: Durability = "batch"
    """When an accepted frame is on the disk, and outlives a power failure: `none`, when the system
    gets to it; `batch`, within a second; `frame`, before it is accepted."""
    quiet_s: PositiveSeconds = 30.0
    """Frames are sent again when none has closed for so long: the last resort."""


class SinkTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where outcomes arrive."""

    results: Address = "tcp://127.0.0.1:5760"
    durability: Durability = "batch"
    """When an outcome is on the disk: `none`, when the system gets to it; `batch`, before it is
    acknowledged, with what else has come; `frame`, the same, each by itself."""


class FeedTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How boxes leave the chain for scan controllers; without an address there is no feed."""

    batches: Address | None = None
    """Controllers ask for batches here."""
    copies: Address | None = None
    """A monitoring copy of what is offered and of receipts is published here."""
    order: Order = "raster"
    """Of the boxes of a batch: `raster` as boxed, `serpentine`, `nearest`."""


class StageTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage: its queue's two addresses, how many workers, and its parameters.

    With `stages`, it is several that follow each other: each worker takes a frame through all of
    them, so that it crosses fewer sockets. Fit for few cores; they scale together.
    """

    name: StageName
    stages: tuple[StageName, ...] = ()
    """Those that a worker hosts, in their order; none stands for the one that is called `name`."""
    frames: Address
    """The queue takes frames here."""
    work: Address
    """Workers ask for frames here."""
    workers: Annotated[int, Meta(ge=0, le=MOST_WORKERS)] = 1
    """Workers the supervisor starts on its own host."""
    deadline_s: PositiveSeconds = 30.0
    """A worker that spends longer on one frame counts as dead."""
    max_deaths: Positive = 3
    """Workers that one frame may take down before it is a dead letter."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Of the stage; with `stages`, one table of them for each."""

    @property
    def hosted(self) -> tuple[str, ...]:
        """The stages a worker takes a frame through."""
        return self.stages or (self.name,)

    def parameters_of(self, stage: str) -> dict[str, Any]:
        """Return the parameters of a hosted stage."""
        return self.parameters.get(stage, {}) if self.stages else self.parameters


class SecurityTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may reach the chain's ends (docs/security.md)."""

    keys: Annotated[str, Meta(min_length=1)] | None = None
    """Folder of this host's keys; relative to the topology's file. With it every end is encrypted
    and lets in keys of its list only."""
    open_network: bool = False
    """Addresses other machines can reach are meant to be open, without keys, to all of them."""


class Topology(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole chain, stages in the order frames pass them."""

    stage: tuple[StageTable, ...]
    chain: ChainTable = field(default_factory=ChainTable)
    source: SourceTable = field(default_factory=SourceTable)
    sink: SinkTable = field(default_factory=SinkTable)
    feed: FeedTable = field(default_factory=FeedTable)
    security: SecurityTable = field(default_factory=SecurityTable)

    def stage_named(self, name: str) -> StageTable:
        """Return a stage's table; `TopologyError` names those there are."""
        for table in self.stage:
            if table.name == name:
                return table
        raise TopologyError(
            f"no stage {name!r} in the topology; there are {', '.join(s.name for s in self.stage)}"
        )

    def onward_address(self, name: str) -> str:
        """Return where a stage's results go: the next stage's queue, or the sink."""
        names = [table.name for table in self.stage]
        after = names.index(name) + 1
        return self.stage[after].frames if after < len(names) else self.sink.results

    def writing_to(self, out: Path) -> Self:
        """Return the same chain with another output folder."""
        chain = msgspec.structs.replace(self.chain, out=str(out))
        return msgspec.structs.replace(self, chain=chain)

    def feeding(self, batches: str) -> Self:
        """Return the same chain with a feed at an address.

        Raises
        ------
        TopologyError
            Nobody can listen there.
        """
        changed = msgspec.structs.replace(
            self, feed=msgspec.structs.replace(self.feed, batches=batches)
        )
        wrong = flaw_of_address(batches)
        if wrong is not None:
            raise TopologyError(f"feed.batches: {batches!r:.80}: {wrong}", key=("feed", "batches"))
        changed.check()
        return changed

    def with_keys_beside(self, file: Path) -> Self:
        """Return the same chain with its folder of keys absolute, as seen from the file."""
        if self.security.keys is None:
            return self
        keys = str(file.absolute().parent / self.security.keys)
        security = msgspec.structs.replace(self.security, keys=keys)
        return msgspec.structs.replace(self, security=security)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a `.toml` or `.json` file."""
        try:
            settings, text = read_settings(path)
        except SettingsError as error:
            raise TopologyError(str(error)) from error
        topology, problems = convert(settings, cls)
        if topology is not None:
            problems = list(topology.problems())
            if not problems:
                return topology.with_keys_beside(path)
        raise TopologyError(told(path, text, [_in_words(problem) for problem in problems]))

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        partial.replace(path)

    def check(self) -> None:
        """Refuse what types alone cannot: no stage, duplicates, ports and paths out of range."""
        for problem in self.problems():
            name = problem.name or spelt(problem.key)
            raise TopologyError(f"{name}: {problem.said}", key=problem.key)

    @property
    def is_open(self) -> bool:
        """Whether there are no keys: who reaches an address may use it."""
        return self.security.keys is None

    def reachable(self) -> list[str]:
        """Return the addresses that other machines can reach."""
        return [address for _, address in self.addresses() if not is_local(address)]

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong, though every key has its type."""
        if not self.stage:
            yield Problem(("stage",), "no [[stage]]; expected at least one")
        if not self.chain.out or "\0" in self.chain.out:
            came = f"came {self.chain.out!r:.80}"
            yield Problem(("chain", "out"), f"expected the name of a folder, {came}")
        yield from self._twice()
        for index, table in enumerate(self.stage):
            for name, value in table.parameters.items() if table.stages else ():
                key: Key = ("stage", index, "parameters", name)
                where = f"stage {table.name}.parameters.{name}"
                if name not in table.stages:
                    yield Problem(key, f"expected one of {', '.join(table.stages)}", where)
                elif not isinstance(value, dict):
                    yield Problem(key, f"expected a table, came {value!r:.80}", where)
        yield from self._unusable_addresses()

    def _unusable_addresses(self) -> Iterator[Problem]:
        used: dict[str, str] = {}
        for (where, address), key in zip(self.addresses(), self.address_keys(), strict=True):
            wrong = _flaw_of(address)
            first = used.setdefault(_plain(address), where)
            if wrong is not None:
                yield Problem(key, wrong, where)
            elif first != where:
                yield Problem(key, f"address {address} is used twice, also by {first}", where)
            elif self.is_open and not self.security.open_network and not is_local(address):
                yield Problem(
                    key,
                    f"other machines can reach {address}, and there are no keys. Set "
                    "security.keys to a folder that `haadflow keys new` has made, or "
                    "security.open_network = true if everybody there may use this chain",
                    where,
                )

    def _twice(self) -> Iterator[Problem]:
        names: set[str] = set()
        hosted: set[str] = set()
        for index, table in enumerate(self.stage):
            if table.name in names:
                key = ("stage", index, "name")
                yield Problem(key, f"[[stage]] name {table.name!r} is there twice")
            elif doubled := [stage for stage in table.hosted if stage in hosted]:
                yield Problem(("stage", index), f"stage {doubled[0]!r} is there twice")
            elif len(set(table.stages)) < len(table.stages):
                (stage, _), *_ = Counter(table.stages).most_common(1)
                yield Problem(("stage", index, "stages"), f"stage {stage!r} is there twice")
            names.add(table.name)
            hosted.update(table.hosted)

    def address_keys(self) -> list[Key]:
        """Return the key of each of `addresses()` in the file."""
        numbers = {table.name: index for index, table in enumerate(self.stage)}
        keys: list[Key] = []
        for where, _ in self.addresses():
            table, _, name = where.rpartition(".")
            stage = table.removeprefix("stage ")
            keys.append((table, name) if stage == table else ("stage", numbers[stage], name))
        return keys

    def addresses(self) -> list[tuple[str, str]]:
        """Return (key, address) of everything that listens."""
        pairs = [
            ("chain.control", self.chain.control),
            ("chain.beats", self.chain.beats),
            ("source.closed", self.source.closed),
            ("sink.results", self.sink.results),
        ]
        if self.source.offers is not None:
            pairs.append(("source.offers", self.source.offers))
        if self.feed.batches is not None:
            pairs.append(("feed.batches", self.feed.batches))
        if self.feed.copies is not None:
            pairs.append(("feed.copies", self.feed.copies))
        for table in self.stage:
            pairs += [
                (f"stage {table.name}.frames", table.frames),
                (f"stage {table.name}.work", table.work),
            ]
        return pairs


def _in_words(problem: Problem) -> Problem:
    """Say what a pattern stands for."""
    said = problem.said
    for pattern, words in (
        (_ADDRESS, "expected tcp://HOST:PORT or ipc:///PATH"),
        (_STAGE_NAME, "expected small letters, digits and _, as its file in services/ is called"),
    ):
        said = said.replace(f"Expected `str` matching regex {pattern!r}", words)
    if problem.key[-1:] == ("durability",):
        said = said.replace(
            "Invalid enum value", f"expected {', '.join(get_args(Durability))}; got"
        )
    return problem._replace(said=said)


def flaw_of_address(address: str) -> str | None:
    """Say why nobody can connect to an address, or None."""
    if re.match(_ADDRESS, address) is None:
        return "expected tcp://HOST:PORT or ipc:///PATH"
    return _flaw_of(address)


def _flaw_of(address: str) -> str | None:
    """Say what is wrong with an address that looks like one."""
    if not address.isprintable():
        return f"{address!r:.80} is not printable"
    if address.startswith("ipc://"):
        path = address.removeprefix("ipc://")
        too_long = len(os.fsencode(path)) > IPC_PATH_LIMIT
        return f"{path} is longer than {IPC_PATH_LIMIT} bytes" if too_long else None
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if "*" in host:
        return f"{address}: others connect to it; expected a host's name or number, not *"
    if re.fullmatch(r"\[.*\]|\d+(\.\d+){3}", host) and _ip(host) is None:
        return f"{address}: {host} is no IP address"
    return None if 1 <= int(port) <= 65535 else f"port {port}; expected 1 to 65535"


def _plain(address: str) -> str:
    """Return an address in one of the ways in which it may be spelt."""
    if address.startswith("ipc://"):
        return f"ipc://{os.path.normpath(address.removeprefix('ipc://'))}"
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    host = "127.0.0.1" if host.lower() == "localhost" else host.lower()
    return f"tcp://{_ip(host) or host}:{int(port)}"


def is_local(address: str) -> bool:
    """Say whether only processes of this machine can reach an address."""
    if address.startswith("ipc://"):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0]
    number = _ip(host)
    return host == "localhost" if number is None else number.is_loopback


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the number of a host that is given by its number, [] around it or not."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


STAGES = ("quality_gate", "preprocessing", "clustering", "boxing")
"""The chain of the published method."""
TOGETHER = "image_to_boxes"
"""What the four are called where one worker hosts them all."""
REFINED = "refined"
"""The one stage of the refined method's chain."""


def one_machine(
    sockets: Path,
    *,
    out: Path,
    workers: dict[str, int],
    parameters: dict[str, dict[str, Any]],
    together: bool = False,
    refined: bool = False,
    max_pixels: int | None = None,
) -> Topology:
    """Return the chain of `haadflow run`: Unix sockets in a folder of its own.

    Parameters
    ----------
    sockets, out
        Folders for the sockets and for what the chain writes.
    workers
        By stage, or of `TOGETHER` or `REFINED`; 1 where nothing is said.
    parameters
        By stage.
    together
        Each worker hosts all four stages, and the source holds their queue: fit for few cores.
    refined
        The chain of the refined method: one stage.
    max_pixels
        Of one image; None for the default.
    """

    def end(name: str) -> str:
        return f"ipc://{sockets}/{name}"

    def table(name: str, hosted: tuple[str, ...], settings: dict[str, Any]) -> StageTable:
        return StageTable(
            name=name,
            stages=hosted,
            frames=end(f"{name}.in"),
            work=end(f"{name}.work"),
            workers=workers.get(name, 1),
            parameters=settings,
        )

    names = (REFINED,) if refined else STAGES
    apart = tuple(table(name, (), parameters.get(name, {})) for name in names)
    hosted_together = together and not refined
    topology = Topology(
        chain=ChainTable(out=str(out), control=end("control"), beats=end("beats")),
        source=SourceTable(
            closed=end("closed"),
            holds_first_queue=together,
            quiet_s=10.0,
            max_pixels=max_pixels or MOST_PIXELS,
        ),
        sink=SinkTable(results=end("results")),
        stage=(table(TOGETHER, STAGES, parameters),) if hosted_together else apart,
    )
    try:
        msgspec.convert(msgspec.to_builtins(topology), Topology)
    except ValueError as error:
        raise TopologyError(f"{sockets} cannot hold sockets: {error}") from error
    topology.check()
    return topology
