"""`haadflow watch` without its terminal: a folder that fills, through a chain of its own.

A thread finds files that have arrived whole and writes them into the ledger, as `haadflow run`
does; the chain's source finds them there. A file's key is its path, size and time of change: after
a restart it is known, and what changes later is another frame. One whose file could not be read is
tried again when the file changes, as a replay of the dead letter it became.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import watchfiles

from .adoption import adopt_ended
from .detectors.arrivals import Arrivals
from .detectors.file_finding import Found, find_images
from .detectors.files import UnreadableImage, limits_up_to, read_image
from .detectors.metadata import MetadataError
from .detectors.stacks import FoundImage, each_image
from .files_run import FilesRun, check_settings, key_of, new_frame, plain_path, resolver_for
from .runtime.ledger import Ledger, NewFrame
from .runtime.places import Places

_STATE = re.compile(r" \d+ \d+( \[\d+\])?")
TICK_MS = 250
LOOK_AGAIN_S = 5.0
"""The whole folder is listed so often in any case: not every file system tells of changes."""


def open_ledger(run: FilesRun, places: Places) -> None:
    """Make or check the ledger; errors as `files_run.accept_files`."""
    resolver_for(run)
    with Ledger(places.ledger) as ledger:
        check_settings(ledger, run, places)
        adopt_ended(ledger, places)
        ledger.forget_epochs()


class FolderWatch:
    """Takes files into the ledger as they arrive, in a thread of its own.

    Parameters
    ----------
    run
        Folders, and how their images are to be taken.
    places
        Where the ledger is.
    tell
        Told what cannot be read, once each; called in the thread.
    settle_s, patience_s
        See `Arrivals`.
    poll_ms
        Ask the file system so often instead of being told by it; None for being told.
    """

    def __init__(
        self,
        run: FilesRun,
        places: Places,
        tell: Callable[[str], None],
        *,
        settle_s: float,
        patience_s: float,
        poll_ms: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure: Exception | None = None
        self._run = run
        self._places = places
        self._tell = tell
        self._poll_ms = poll_ms
        self._clock = clock
        self._limits = limits_up_to(run.max_pixels)
        self._arrivals = Arrivals(settle_s=settle_s, patience_s=patience_s, clock=clock)
        self._found: dict[Path, Found] = {}
        self._told: dict[str, str] = {}
        self._look_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="watch", daemon=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the end of the block, or until `stop`."""
        self._thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Take nothing more."""
        self._stop.set()
        self._thread.join()

    def _guarded(self) -> None:
        try:
            with Ledger(self._places.ledger) as ledger:
                while not self._stop.is_set():
                    self._watch(ledger)
        except Exception as error:  # noqa: BLE001 - the main thread says it, and ends
            self.failure = error

    def _watch(self, ledger: Ledger) -> None:
        """Turn as long as the file system can be asked."""
        try:
            changes = watchfiles.watch(
                *self._run.paths,
                watch_filter=None,
                stop_event=self._stop,
                rust_timeout=TICK_MS,
                debounce=TICK_MS,
                yield_on_timeout=True,
                force_polling=self._poll_ms is not None,
                poll_delay_ms=self._poll_ms or 300,
                recursive=self._run.recursive,
                raise_interrupt=False,
            )
            for changed in changes:
                self._told.pop("", None)
                self.turn(ledger, changed=bool(changed))
        except (OSError, RuntimeError) as error:
            # A share that is away, or too many watches: listing the folder still works, or will.
            self._say("", f"the folder cannot be watched, it is listed instead: {error}")
            self.turn(ledger, changed=False)
            self._stop.wait(TICK_MS / 1e3)

    def turn(self, ledger: Ledger, *, changed: bool) -> None:
        """Look for files, and take those that are whole."""
        if changed or self._clock() >= self._look_at:
            self._look(ledger)
            self._look_at = self._clock() + LOOK_AGAIN_S
        for path, last in self._arrivals.settled():
            if self._stop.is_set():
                return
            self._take(ledger, path, last=last)

    def _look(self, ledger: Ledger) -> None:
        for found in find_images(self._run.paths, recursive=self._run.recursive):
            if found.problem is not None:
                self._say(str(found.path), found.problem)
                continue
            self._found[found.path] = found
            if self._arrivals.see(found.path) and self._is_known(ledger, found.path):
                self._arrivals.taken(found.path)

    def _is_known(self, ledger: Ledger, path: Path) -> bool:
        """Tell whether a file was taken as it is now, by an earlier start perhaps."""
        last = ledger.last_of(plain_path(path))
        key = key_of(path)
        return last is not None and (last[0] == key or last[0].startswith(f"{key} ["))

    def _take(self, ledger: Ledger, path: Path, *, last: bool) -> None:
        images = list(each_image([self._found[path]], self._run.stack, self._limits))
        problem = self._problem(images[-1])
        if problem is not None and not last:
            self._arrivals.unreadable(path)
            return
        try:
            ledger.accept(self._frames(ledger, images))
        except MetadataError as error:
            self._say("metadata", f"{error}; images wait until it is right")
            return
        except sqlite3.Error as error:
            self._say("ledger", f"the ledger takes nothing now: {error}; images wait")
            return
        self._arrivals.taken(path)
        self._told.pop("metadata", None)
        self._told.pop("ledger", None)
        if problem is not None:
            self._say(str(path), f"{problem}; it is tried again when it changes")
        else:
            self._told.pop(str(path), None)

    def _problem(self, image: FoundImage) -> str | None:
        try:
            read_image(image.path, limits=self._limits, index=image.place)
        except UnreadableImage as error:
            return str(error)
        return None

    def _frames(self, ledger: Ledger, images: list[FoundImage]) -> Iterator[NewFrame]:
        resolver = resolver_for(self._run)
        path = plain_path(images[0].path)
        before = ledger.last_of(path)
        failed = None
        # Another file's key may begin alike: it has something else behind this path.
        if before is not None and before[2] == "failed" and _STATE.fullmatch(before[0], len(path)):
            failed = before[1]
        for number, image in enumerate(images):
            frame = new_frame(resolver, image)
            yield frame._replace(replay_of=failed if number == 0 else None)

    def _say(self, about: str, text: str) -> None:
        if self._told.get(about) != text:
            self._told[about] = text
            self._tell(f"{about}: {text}" if about.startswith("/") or "/" in about else text)


def frames_open(places: Places) -> int:
    """Return how many frames are not closed."""
    with Ledger(places.ledger, read_only=True) as ledger:
        return ledger.open_count()
