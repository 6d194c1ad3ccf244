"""A controller as a process of its own: `haadflow controller NAME`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct

from protocols.messages import Description
from services.runtime import exit_codes

from .controller import ControllerGone
from .journal import Journal
from .link import Link
from .registry import build_controller
from .runner import Aborter, Runner, describe


class Wanted(Struct, frozen=True, kw_only=True):
    """What the command line says."""

    controller: str
    """Which adapter."""
    settings: Mapping[str, Any]
    feed: str
    """Its address."""
    name: str
    """What the feed and its operators call this controller."""
    journal: Path
    keys: Path | None = None
    window: int = 1
    batches: int | None = None
    """End after so many; None goes on until it is told to stop."""
    grace_s: float = 5.0
    """So long a group of boxes may take to its end when the process is told to stop."""


def run(wanted: Wanted, stopped: Callable[[], bool]) -> int:
    """Run until told to stop, or for so many batches; return the exit status.

    Raises
    ------
    SettingError, JournalError, KeysError, AddressError
        It cannot start: what is wrong, and where.
    """
    log = structlog.get_logger()
    made = build_controller(wanted.controller, wanted.settings)
    with closing(made) as controller, Journal(wanted.journal) as journal:
        limits = controller.describe()

        def about(session: str) -> Description:
            return describe(wanted.name, session, limits, journal.name, wanted.window)

        link = Link(wanted.feed, about, keys=wanted.keys)
        runner = Runner(controller, limits, journal, link, stopped=stopped, most=wanted.batches)
        aborter = Aborter(controller, stopped, wanted.grace_s)
        log.info("controller.ready", controller=wanted.name, feed=wanted.feed, pid=os.getpid())
        try:
            while not stopped() and (wanted.batches is None or runner.batches < wanted.batches):
                runner.step()
            status = exit_codes.OK
        except ControllerGone as error:
            log.error("controller.gone", error=str(error))
            status = exit_codes.BROKEN
        except sqlite3.Error as error:
            # Without a journal no box may be touched; what it says holds for the next start.
            log.error("journal.unusable", path=str(wanted.journal), error=str(error))
            return exit_codes.BROKEN
        finally:
            aborter.close()
        runner.leave()
        link.close()
        log.info("controller.ended", batches=runner.batches, acquired=runner.acquired)
    return status
