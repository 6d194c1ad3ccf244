"""Dead letters: the frames that failed, what is known of each, and another try at them.

A frame that failed stays failed: its outcome is committed, and every frame ends exactly once. A
replay is a new frame with the same image and metadata, accepted into the ledger like any other; it
says of which frame it is a replay, and has its own outcome. So the account closes as ever.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np

from protocols import DecodeError, decode, split_parts
from protocols.messages import Failed, SurveyImage

from .detectors.file_finding import SUFFIXES
from .detectors.references import Reference
from .results import ResultStore
from .results.record import Record
from .runtime.ledger import Ledger, LedgerFrame, NewFrame
from .runtime.places import Places
from .runtime.spool import copy_in, name_of

SCHEMA = "haadflow.deadletter/1"
PACKAGES = ("haadflow", "numpy", "numba", "opencv-python-headless", "scipy", "pyzmq", "msgspec")
"""Whose versions a bug report names."""


class NotReplayed(Exception):
    """A dead letter cannot be sent again: which, and why."""


class DeadLetter(NamedTuple):
    """One frame that failed."""

    failed: Failed
    record: Record
    image: Path | None
    """The file it was read from, or what is kept of a detector's image; None if that is gone."""
    from_file: bool
    """Whether it came from a file, wherever that is now."""
    replay: tuple[int, str | None] | None
    """seq and outcome of the frame that is another try at it; the outcome is None while open."""

    @property
    def seq(self) -> int:
        """Its number in the run."""
        return self.failed.envelope.seq

    @property
    def parent_id(self) -> str:
        """Its name."""
        return self.failed.envelope.metadata.parent_id


class Replayed(NamedTuple):
    """Another try at a dead letter."""

    seq: int
    parent_id: str
    new: bool
    """False if it was there already."""


class DeadLetters:
    """The dead letters of a folder that a chain writes, or has written, into.

    Raises
    ------
    LedgerError, StoreError
        There is no ledger or no store, or one cannot be read.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._ledger = Ledger(places.ledger, read_only=True)
        try:
            self._store = ResultStore(places.results)
        except BaseException:
            self._ledger.close()
            raise

    def all(self) -> Iterator[DeadLetter]:
        """Go through them by seq."""
        if not self._store.counts().failed:
            return
        replays = self._ledger.replays()
        for record in self._store.records("failed"):
            failed = record.outcome
            if isinstance(failed, Failed) and failed.envelope.run == self._ledger.run:
                seq = failed.envelope.seq
                reference = self._ledger.reference(seq)
                files = [Reference.parse(reference).path] if reference else self._kept(seq)
                image = _existing(files)
                yield DeadLetter(failed, record, image, reference is not None, replays.get(seq))

    def find(self, name: str) -> DeadLetter | None:
        """Return the one with this seq, or else this parent_id."""
        named: DeadLetter | None = None
        for letter in self.all():
            if name.isdecimal() and letter.seq == int(name):
                return letter
            if letter.parent_id == name:
                named = letter
        return named

    def replay(self, letters: Sequence[DeadLetter]) -> list[Replayed]:
        """Accept a new frame for each, in one transaction; one that was replayed keeps its replay.

        Raises
        ------
        NotReplayed
            The image of one was not kept. None is replayed then.
        OSError, sqlite3.Error
            The disk does not take it. None is replayed then.
        """
        frames = {_key(letter): letter for letter in letters}

        def keep(key: str, fresh: LedgerFrame) -> None:
            letter = frames[key]
            if letter.from_file:
                return
            # The source may be about to move it from the first place to the second.
            for path in self._kept(letter.seq):
                if path.exists():
                    copy_in(self._places.spool, fresh.seq, path)
                    return
            raise NotReplayed(f"frame {letter.seq}, {letter.parent_id}: its image was not kept")

        with Ledger(self._places.ledger) as ledger:
            answers = ledger.accept(
                [self._again(key, letter) for key, letter in frames.items()], keep_image=keep
            )
            return [Replayed(seq, _name(ledger, seq), new) for seq, new in answers]

    def export(self, letter: DeadLetter, folder: Path) -> list[Path]:
        """Write what a bug report needs: the image, and all that is known as JSON.

        The names of the files come from the frame's number alone.

        Returns
        -------
        list of Path
            The JSON file, and the image if there is one: the file as it is, or an `.npy` of what a
            detector sent, or the spooled bytes if those are damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"frame-{letter.seq:06d}"
        image = None if letter.image is None else _copy_image(letter, letter.image, stem)
        description = stem.with_suffix(".json")
        text = msgspec.json.format(msgspec.json.encode(_report(letter, image)), indent=2)
        description.write_bytes(text + b"\n")
        return [description] if image is None else [description, image]

    def close(self) -> None:
        """Close both files."""
        self._ledger.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _kept(self, seq: int) -> list[Path]:
        """Return where the image of an offered frame may lie, in the order in which it moves."""
        return [folder / name_of(seq) for folder in (self._places.spool, self._places.dead_letters)]

    def _again(self, key: str, letter: DeadLetter) -> NewFrame:
        known = self._ledger.metadata(letter.seq) or letter.failed.envelope.metadata
        return NewFrame(key, known, self._ledger.reference(letter.seq), letter.seq)


def _key(letter: DeadLetter) -> str:
    """Name its replay. No offer and no file has such a key: those have a space or a slash."""
    return f"replay:{letter.seq}"


def _name(ledger: Ledger, seq: int) -> str:
    known = ledger.metadata(seq)
    return "" if known is None else known.parent_id


def _existing(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _copy_image(letter: DeadLetter, image: Path, stem: Path) -> Path:
    if letter.from_file:
        suffix = image.suffix.lower()
        target = stem.with_suffix(suffix if suffix in SUFFIXES else ".bin")
        shutil.copyfile(image, target)
        return target
    try:
        array = decode(split_parts(image.read_bytes()), expect=(SurveyImage,)).image
    except DecodeError:
        shutil.copyfile(image, stem.with_suffix(".hf"))
        return stem.with_suffix(".hf")
    np.save(stem.with_suffix(".npy"), array)
    return stem.with_suffix(".npy")


def _report(letter: DeadLetter, image: Path | None) -> dict[str, Any]:
    failed, record = letter.failed, letter.record
    envelope = failed.envelope
    return {
        "schema": SCHEMA,
        "run": envelope.run,
        "seq": envelope.seq,
        "stage": failed.stage,
        "reason": failed.reason,
        "traceback": failed.traceback,
        "accepted_unix": envelope.accepted_unix,
        "failed_unix": record.created_unix,
        "attempts": envelope.attempt,
        "setbacks": msgspec.to_builtins(envelope.past),
        "metadata": msgspec.to_builtins(envelope.metadata),
        "stages": msgspec.to_builtins(envelope.stages),
        "parent_height": failed.parent_height,
        "parent_width": failed.parent_width,
        "image": None if image is None else _about(image),
        "replay_of": envelope.replay_of or None,
        "replayed_as": None if letter.replay is None else letter.replay[0],
        "failed_in": record.writer.software,
        "exported_by": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            **_versions(),
        },
    }


def _about(image: Path) -> dict[str, Any]:
    content = image.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"file": image.name, "bytes": len(content), "sha256": digest}


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
