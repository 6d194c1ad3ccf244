"""The reader: a process that opens microscope files, one at a time, for the process that began it.

`python -m services.detectors.microscope.child`, requests on standard input, answers on standard
output, until the input ends. Before a file is opened its memory is limited to a small multiple of
the file, and its time to the request's: hostile data end this process and nothing else.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from services.detectors.formats.image import (
    ReadImage,
    ReadLimits,
    UnreadableImage,
    as_real,
    one_channel,
)

from . import facts, messages
from .calibration import pixel_size_nm
from .kinds import sers_of
from .messages import Answer, Request
from .rosetta import close_files, open_file, values
from .signals import Signal, choose, listed, signals_of

_ROOM = 256 << 20
"""Bytes that libraries may claim beside the file's."""
_COPIES = 3
"""Of the file, while it is opened, and then of the image."""
_MOST_REASON = 1000
_STATM = Path("/proc/self/statm")


def main() -> int:
    """Answer until there are no more requests."""
    # Ctrl-C is for the parent, at whose end the input ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    warnings.simplefilter("ignore")
    while (request := messages.read(sys.stdin.buffer, Request)) is not None:
        signal.alarm(request.deadline_s)  # its default action ends this process
        try:
            _answer(request, answers)
        finally:
            signal.alarm(0)
            _limit_memory(None)
            close_files()
    return 0


def _answer(request: Request, answers: BinaryIO) -> None:
    try:
        answer, pixels = _read(request)
    except UnreadableImage as error:
        answer, pixels = Answer(error=str(error)), None
    except MemoryError:
        why = "it asks for more memory than a file of its size can need"
        answer, pixels = Answer(error=f"{request.kind} damaged: {why}"), None
    except Exception as error:  # noqa: BLE001 - one bad file never stops the next good one
        answer, pixels = Answer(error=_damaged(request.kind, error)), None
    messages.write(answers, answer)
    if pixels is not None:
        answers.write(pixels.data.cast("B"))
        answers.flush()


def _damaged(kind: str, error: Exception) -> str:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{kind} damaged, cut short, or of an unknown kind: {said}"[:_MOST_REASON]


def _read(request: Request) -> tuple[Answer, NDArray[Any] | None]:
    path, limits = Path(os.fsdecode(request.path)), request.limits
    _limit_memory(_ROOM + _COPIES * _bytes_of(path, request.kind))
    kind, found, notes = open_file(path, request.kind)
    signals = signals_of(found)
    chosen = choose(kind, signals)
    if request.kind == "TIFF":
        return _calibration(kind, chosen), None
    if request.count:
        return Answer(images=chosen.images), None
    _check(kind, chosen, request.index, limits)
    _limit_memory(_ROOM + _COPIES * (_bytes_of(path, request.kind) + _image_bytes(chosen)))
    data = chosen.data if chosen.shape == "image" else chosen.data[request.index]
    image, note = one_channel(values(data))
    image = as_real(image)
    read = _about(kind, chosen, notes + ([note] if note else []))
    extra = dict(read.extra)
    if len(signals) > 1:
        extra["signals"] = listed(signals)
    if chosen.shape == "stack" and request.index is not None:
        extra["stack_image"] = f"{request.index + 1} of {chosen.images}"
    answer = Answer(
        images=chosen.images,
        shape=(image.shape[0], image.shape[1]),
        dtype=image.dtype.str,
        pixel_size_nm=read.pixel_size_nm,
        composition=read.composition,
        notes=read.notes,
        extra=extra,
    )
    return answer, np.ascontiguousarray(image)


def _calibration(kind: str, chosen: Signal) -> Answer:
    read = _about(kind, chosen, [])
    return Answer(
        pixel_size_nm=read.pixel_size_nm,
        composition=read.composition,
        notes=read.notes,
        extra={key: value for key, value in read.extra.items() if key != "signal"},
    )


def _about(kind: str, chosen: Signal, notes: list[str]) -> ReadImage:
    y, x = chosen.axes[-2:]
    size, wrong = pixel_size_nm(x, y)
    extra = {"format": kind, "signal": chosen.name}
    if size is not None:
        extra["pixel_size_in_file"] = str(x)
    for name, called in (("magnification", "magnification"), ("beam_energy", "beam_energy_kV")):
        number = facts.instrument_fact(chosen.about, name)
        if number is not None:
            extra[called] = f"{number:.9g}"
    told = (*notes, *([wrong] if wrong else ()))
    nothing = np.empty((0, 0))
    return ReadImage(nothing, size, facts.composition_of(chosen.about), told, extra)


def _check(kind: str, chosen: Signal, index: int | None, limits: ReadLimits) -> None:
    height, width = (axis.size for axis in chosen.axes[-2:])
    limits.check(height, width, chosen.data.dtype.itemsize)
    if chosen.shape != "stack":
        if index:
            raise UnreadableImage(f"{kind} of one image; image {index + 1} is not there")
        return
    if index is None:
        raise UnreadableImage(
            f"{kind} with a {chosen.what}, expected one image; --stack images takes them one by one"
        )
    if chosen.images > limits.pages:
        raise UnreadableImage(
            f"{kind} with a {chosen.what}, more than the limit of {limits.pages} images "
            "(source.max_pages)"
        )
    if index >= chosen.images:
        raise UnreadableImage(f"{kind} of {chosen.images} images; image {index + 1} is not there")


def _image_bytes(chosen: Signal) -> int:
    height, width = (axis.size for axis in chosen.axes[-2:])
    return int(height) * int(width) * int(chosen.data.dtype.itemsize)


def _bytes_of(path: Path, kind: str) -> int:
    files = sers_of(path) if kind == "EMI" else []
    return sum(file.stat().st_size for file in (path, *files))


def _limit_memory(more: int | None) -> None:
    """Let this process claim so many bytes more than it has; None for no limit."""
    if not _STATM.exists():
        return  # not Linux: nothing says how much it has
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = hard
    if more is not None:
        pages = int(_STATM.read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    sys.exit(main())
