"""The chain as it is written in `deploy/topology.toml`: addresses, workers, parameters.

Unknown keys, wrong types, duplicate names and unusable addresses are refused with the file and the
place in it. Nothing here connects anything.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct, field

Address = Annotated[
    str, Meta(pattern=r"^(tcp://[^\s:]+:\d{1,5}|tcp://\[[0-9A-Fa-f:]+\]:\d{1,5}|ipc:///\S+)$")
]
Positive = Annotated[int, Meta(ge=1)]
PositiveSeconds = Annotated[float, Meta(gt=0)]
StageName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]

MOST_WORKERS = 1024
"""Of one stage on one host."""

IPC_PATH_LIMIT = 100
"""A Unix socket's path has at most 107 characters on Linux, 103 on macOS."""


class TopologyError(ValueError):
    """The topology is wrong: which file, which key, what came, what was expected."""


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
    spool: bool = True
    """Offered images are on disk before they are accepted. If not, they are in memory only, and an
    offer is answered when its frame has ended: until then the detector keeps the image."""
    holds_first_queue: bool = False
    """The first stage's queue runs in the source's process: an image crosses a socket less."""
    keep_first: Annotated[int, Meta(ge=0)] = 100
    """Images of so many frames outlive their frame in the spool, for the pictures."""
    quiet_s: PositiveSeconds = 30.0
    """Frames are sent again when none has closed for so long: the last resort."""


class SinkTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where outcomes arrive."""

    results: Address = "tcp://127.0.0.1:5760"


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
            text = path.read_text(encoding="utf-8")
            settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except OSError as error:
            raise TopologyError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise TopologyError(f"{path}: {error}") from error
        try:
            topology = msgspec.convert(settings, cls)
            topology = topology.with_keys_beside(path)
            topology.check()
        except (msgspec.ValidationError, TopologyError) as error:
            raise TopologyError(f"{path}: {error}") from error
        return topology

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        partial.replace(path)

    def check(self) -> None:
        """Refuse what types alone cannot: no stage, duplicates, ports and paths out of range."""
        if not self.stage:
            raise TopologyError("no [[stage]]; expected at least one")
        twice = [name for name, n in Counter(s.name for s in self.stage).items() if n > 1]
        if twice:
            raise TopologyError(f"[[stage]] name {twice[0]!r} is there twice")
        self._check_hosted()
        addresses = [a for _, a in self.addresses()]
        for where, address in self.addresses():
            if addresses.count(address) > 1:
                raise TopologyError(f"{where}: address {address} is used twice")
            _check_address(where, address)
            if self.is_open and not self.security.open_network and not is_local(address):
                raise TopologyError(
                    f"{where}: other machines can reach {address}, and there are no keys. Set "
                    "security.keys to a folder that `haadflow keys new` has made, or "
                    "security.open_network = true if everybody there may use this chain"
                )

    @property
    def is_open(self) -> bool:
        """Whether there are no keys: who reaches an address may use it."""
        return self.security.keys is None

    def reachable(self) -> list[str]:
        """Return the addresses that other machines can reach."""
        return [address for _, address in self.addresses() if not is_local(address)]

    def _check_hosted(self) -> None:
        hosted = Counter(stage for table in self.stage for stage in table.hosted)
        twice = [stage for stage, count in hosted.items() if count > 1]
        if twice:
            raise TopologyError(f"stage {twice[0]!r} is there twice")
        for table in self.stage:
            for key, value in table.parameters.items() if table.stages else ():
                where = f"stage {table.name}.parameters.{key}"
                if key not in table.stages:
                    raise TopologyError(f"{where}: expected one of {', '.join(table.stages)}")
                if not isinstance(value, dict):
                    raise TopologyError(f"{where}: expected a table, came {value!r:.80}")

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
        for table in self.stage:
            pairs += [
                (f"stage {table.name}.frames", table.frames),
                (f"stage {table.name}.work", table.work),
            ]
        return pairs


def _check_address(where: str, address: str) -> None:
    if address.startswith("ipc://"):
        path = address.removeprefix("ipc://")
        if len(os.fsencode(path)) > IPC_PATH_LIMIT:
            raise TopologyError(f"{where}: {path} is longer than {IPC_PATH_LIMIT} bytes")
        return
    port = int(re.sub(r".*:", "", address))
    if not 1 <= port <= 65535:
        raise TopologyError(f"{where}: port {port}; expected 1 to 65535")


def is_local(address: str) -> bool:
    """Say whether only processes of this machine can reach an address."""
    if address.startswith("ipc://"):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


STAGES = ("quality_gate", "preprocessing", "clustering", "boxing")
"""The chain of the published method."""
TOGETHER = "image_to_boxes"
"""What the four are called where one worker hosts them all."""


def one_machine(
    sockets: Path,
    *,
    out: Path,
    workers: dict[str, int],
    parameters: dict[str, dict[str, Any]],
    together: bool = False,
) -> Topology:
    """Return the chain of `haadflow run`: Unix sockets in a folder of its own.

    Parameters
    ----------
    sockets, out
        Folders for the sockets and for what the chain writes.
    workers
        By stage, or of `TOGETHER`; 1 where nothing is said.
    parameters
        By stage.
    together
        Each worker hosts all four stages, and the source holds their queue: fit for few cores.
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

    apart = tuple(table(name, (), parameters.get(name, {})) for name in STAGES)
    topology = Topology(
        chain=ChainTable(out=str(out), control=end("control"), beats=end("beats")),
        source=SourceTable(closed=end("closed"), holds_first_queue=together, quiet_s=10.0),
        sink=SinkTable(results=end("results")),
        stage=(table(TOGETHER, STAGES, parameters),) if together else apart,
    )
    try:
        msgspec.convert(msgspec.to_builtins(topology), Topology)
    except ValueError as error:
        raise TopologyError(f"{sockets} cannot hold sockets: {error}") from error
    topology.check()
    return topology
