"""Asking a reader process for a microscope file."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import io
import os
import queue
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from services.detectors.formats.image import ReadImage, ReadLimits, UnreadableImage

from . import messages
from .kinds import HOW_TO_GET_IT
from .messages import Answer, Request

ENDING_S = 5.0
DEADLINE_S = 60
"""Until a file is given up: it is on a slow share, or made to take for ever."""
_NEEDED = ("rsciio", "h5py", "dask", "sparse")
_MODULE = f"{__package__}.child"


def missing() -> list[str]:
    """Return the packages that reading microscope files needs and that are not here."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def read_microscope(
    path: Path, kind: str, limits: ReadLimits, index: int | None = None
) -> ReadImage:
    """Read the image of a microscope file.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        From `kind_of`.
    index : int, optional
        Which image of a stack, from 0; without it a stack is refused.

    Raises
    ------
    UnreadableImage
        It has no image that can be used, or rosettasciio is not installed; the text says which.
    """
    asked = Request(
        path=os.fsencode(path), kind=kind, limits=limits, deadline_s=DEADLINE_S, index=index
    )
    answer, pixels = _ask(asked)
    if pixels is None:
        raise UnreadableImage(f"{kind}: its reader sent no image")
    return ReadImage(pixels, answer.pixel_size_nm, answer.composition, answer.notes, answer.extra)


def count_images(path: Path, kind: str, limits: ReadLimits) -> int:
    """Return how many images a microscope file holds; errors as `read_microscope`."""
    asked = Request(
        path=os.fsencode(path), kind=kind, limits=limits, deadline_s=DEADLINE_S, count=True
    )
    return _ask(asked)[0].images


def read_calibration(path: Path, limits: ReadLimits) -> Answer:
    """Return what the vendor's tags of a TIFF say of it; errors as `read_microscope`."""
    asked = Request(path=os.fsencode(path), kind="TIFF", limits=limits, deadline_s=DEADLINE_S)
    return _ask(asked)[0]


class _Reader:
    """One reader process."""

    def __init__(self) -> None:
        # -P: not the code that lies in the folder where somebody happens to be.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A lock of ours would stop the microscope's program from writing, and some shares have
            # none.
            env={**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"},
        )
        self._requests = cast("BinaryIO", self._process.stdin)
        self._answers = cast("BinaryIO", self._process.stdout)

    @property
    def is_there(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, request: Request) -> tuple[Answer, NDArray[Any] | None]:
        """Return its answer; EOFError when it has died of the question."""
        try:
            messages.write(self._requests, request)
        except BrokenPipeError as error:
            raise EOFError from error
        answer = messages.read(self._answers, Answer)
        if answer is None:
            raise EOFError
        if answer.shape is None:
            return answer, None
        pixels = np.empty(answer.shape, np.dtype(answer.dtype))
        into = cast("io.BufferedReader", self._answers)
        if into.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise EOFError
        return answer, pixels

    def wait(self) -> int:
        """Return how it has ended, its answers having ended."""
        try:
            return self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._close()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


_idle: queue.LifoQueue[_Reader] = queue.LifoQueue()


@atexit.register
def _end_idle() -> None:
    while (reader := _take_idle()) is not None:
        reader.end()


def _take_idle() -> _Reader | None:
    try:
        return _idle.get_nowait()
    except queue.Empty:
        return None


def _reader() -> _Reader:
    """Return a reader: one that has nothing to do, or a new one."""
    while (reader := _take_idle()) is not None:
        if reader.is_there:
            return reader
        reader.end()
    return _Reader()


def _ask(request: Request) -> tuple[Answer, NDArray[Any] | None]:
    away = missing()
    if away:
        raise UnreadableImage(
            f"{request.kind} is read through rosettasciio, and {', '.join(away)} "
            f"{'is' if len(away) == 1 else 'are'} not installed: {HOW_TO_GET_IT}"
        )
    reader = _reader()
    try:
        answer, pixels = reader.ask(request)
    except EOFError:
        raise UnreadableImage(_why_it_ended(request, reader.wait())) from None
    except BaseException:
        reader.end()
        raise
    _idle.put(reader)
    if answer.error is not None:
        raise UnreadableImage(answer.error)
    return answer, pixels


def _why_it_ended(request: Request, status: int) -> str:
    if status == -signal.SIGALRM:
        return f"{request.kind} that takes longer than {request.deadline_s} s to read"
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"{request.kind} damaged: its reader ended with {how}"
