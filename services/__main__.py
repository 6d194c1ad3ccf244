"""One process of the chain: `python -m services ROLE [STAGE] --topology FILE`.

What the supervisor starts; people use `haadflow`. Imports only what the role needs, so that a
process is at work soon.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import structlog

from .runtime import exit_codes
from .runtime.disk import is_damage
from .runtime.endpoints import AddressError, close_context
from .runtime.intact import DamagedFile
from .runtime.keys import KeysError
from .runtime.lock import ChainBusy
from .runtime.places import Places
from .runtime.process import allow_open_files, start_log
from .runtime.stage import ParameterError
from .runtime.topology import Topology, TopologyError

CANNOT_START = (
    TopologyError,
    ParameterError,
    AddressError,
    ChainBusy,
    KeysError,
    DamagedFile,
)
ROLES = ("queue", "worker", "source", "sink", "feed", "supervisor")


def main(arguments: list[str] | None = None) -> int:
    """Run one role until it is stopped; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m services")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("stage", nargs="?")
    parser.add_argument("--topology", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="instead of the topology's chain.out")
    parser.add_argument("--until-drained", action="store_true")
    parser.add_argument("--feed", help="instead of the topology's feed.batches")
    asked = parser.parse_args(arguments)
    allow_open_files()
    start_log(".".join(filter(None, (asked.stage, asked.role))))
    log = structlog.get_logger()
    try:
        topology = Topology.load(asked.topology)
        if asked.out is not None:
            topology = topology.writing_to(asked.out)
        if asked.feed is not None:
            topology = topology.feeding(asked.feed)
        status = _run(asked, topology, Places(Path(topology.chain.out)))
    except CANNOT_START as error:
        log.error("service.cannot_start", error=str(error))
        return exit_codes.USAGE
    except Exception as error:
        if is_damage(error):
            # Started again it would find the same.
            log.error("service.cannot_go_on", error=str(error))
            return exit_codes.USAGE
        log.exception("service.died")
        return exit_codes.BROKEN
    close_context()
    return status


def _run(asked: argparse.Namespace, topology: Topology, places: Places) -> int:
    if asked.role == "queue":
        from . import stage_queue  # noqa: PLC0415 - a queue needs no array library

        stage_queue.run(topology, asked.stage)
    elif asked.role == "worker":
        from .runtime import worker_process  # noqa: PLC0415
        from .stages import build_stages  # noqa: PLC0415

        table = topology.stage_named(asked.stage)
        worker_process.run(topology, table, build_stages(table))
    elif asked.role == "source":
        from . import source  # noqa: PLC0415

        queue = None
        if topology.source.holds_first_queue:
            from .stage_queue import StageQueue  # noqa: PLC0415

            queue = StageQueue(topology, topology.stage[0].name, here=True)
        drained = source.run(topology, places, until_drained=asked.until_drained, queue=queue)
        if asked.until_drained and not drained:
            return exit_codes.INTERRUPTED
    elif asked.role == "sink":
        from . import coordinate_sink  # noqa: PLC0415

        coordinate_sink.run(topology, places)
    elif asked.role == "feed":
        from .feed import process  # noqa: PLC0415

        process.run(topology, places)
    else:
        from . import chain  # noqa: PLC0415

        chain.run(topology, places)
    return exit_codes.OK


if __name__ == "__main__":
    sys.exit(main())
