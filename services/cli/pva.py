"""`pva`: images of an EPICS channel into a running chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocols.messages import Metadata
from services.runtime import exit_codes

from .options import Composition, Elements, MaxPixels, TopologyFile, seconds
from .send import where
from .terminal import complain, err, fail, out, stop_on_signal

if TYPE_CHECKING:
    from services.detectors.client import Detector
    from services.detectors.epics.channel import Channel
    from services.detectors.epics.ntndarray import Published

SLICE_S = 0.2


def pva(
    channel: Annotated[str, typer.Argument(help="An NTNDArray, as of areaDetector's PVA plugin.")],
    to: Annotated[
        str | None, typer.Option(help="The source's address; the topology's by default.")
    ] = None,
    composition: Composition = None,
    n_elements: Elements = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            help="Edge of a pixel in nm; an attribute pixel_size_nm goes before it.", min=1e-6
        ),
    ] = None,
    most: Annotated[int | None, typer.Option(help="Stop after so many images.", min=1)] = None,
    max_pixels: MaxPixels = None,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for the chain.", callback=seconds, min=0)
    ] = 60.0,
    keys: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of the detector's key, as for send.")
    ] = None,
    topology: TopologyFile = None,
) -> None:
    """Send the images of an EPICS channel into a running chain, until Ctrl-C.

    An update whose pixels are those of the one before and whose number is too, as after a
    connection that was lost, is the same image and is not sent again.
    """
    from services.detectors.client import Detector, NotAccepted
    from services.detectors.epics.channel import Channel, NoEpics
    from services.detectors.metadata import MetadataError, checked_from_sender

    address, keys = where(to, keys, topology)
    known = Metadata(
        parent_id=channel,
        source=channel,
        composition=composition,
        composition_from=None if composition is None else "option",
        n_elements=n_elements,
        pixel_size_nm=pixel_size,
    )
    try:
        checked_from_sender(known)
        heard = Channel(channel)
    except (MetadataError, NoEpics) as error:
        fail(str(error))
    try:
        with heard, Detector(address, name=channel, patience_s=patience, keys=keys) as detector:
            bridge = Bridge(heard, detector, known, max_pixels=max_pixels)
            with stop_on_signal() as stopped:
                bridge.run(lambda: bool(stopped), most)
    except NotAccepted as error:
        fail(str(error), exit_codes.BROKEN)
    for refusal in detector.refusals:
        complain(f"{refusal.parent_id} was refused: {refusal.reason}")
    out.print(
        f"accepted {detector.accepted}, refused {len(detector.refusals)}, "
        f"unreadable {bridge.unreadable}, missed {bridge.missed}, repeated {bridge.repeated}"
    )
    if detector.refusals or bridge.unreadable:
        raise typer.Exit(exit_codes.SOME_FAILED)


class Bridge:
    """From one channel to one chain."""

    def __init__(
        self, channel: Channel, detector: Detector, known: Metadata, *, max_pixels: int | None
    ) -> None:
        from services.detectors.formats.image import limits_up_to

        self.sent = self.unreadable = self.missed = self.repeated = 0
        self._channel = channel
        self._detector = detector
        self._known = known
        self._limits = limits_up_to(max_pixels)
        self._before: tuple[int, str] | None = None
        self._told = ""

    def run(self, stopped: Callable[[], bool], most: int | None) -> None:
        """Send what comes until told to stop, or until enough were sent."""
        from services.detectors.epics.channel import Lost
        from services.detectors.epics.ntndarray import image_of
        from services.detectors.formats.image import UnreadableImage

        while not stopped() and self.sent != most:
            self._detector.wait(0.001)
            try:
                update = self._channel.next(SLICE_S)
                published = None if update is None else image_of(update, self._limits)
            except Lost as error:
                self._say(f"{self._known.source}: {error}; waiting for it")
                continue
            except (UnreadableImage, AttributeError) as error:
                self.unreadable += 1
                self._say(f"{self._known.source}: {error}")
                continue
            if published is not None:
                self._send(published)

    def _send(self, published: Published) -> None:
        from services.detectors.metadata import with_file_metadata

        this = (published.unique_id, published.content)
        if this == self._before:
            self.repeated += 1
            return
        if self._before is not None and this[0] > self._before[0] + 1:
            self.missed += this[0] - self._before[0] - 1
        self._before = this
        name = f"{self._known.source}-{published.unique_id}-{published.content}"
        metadata = with_file_metadata(_named(self._known, name, published), published.read)
        self._detector.send_with(metadata, published.read.image)
        self.sent += 1
        if self._told:
            err.print(f"{self._known.source}: images come again", markup=False)
            self._told = ""

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            complain(text)


def _named(known: Metadata, name: str, published: Published) -> Metadata:
    from msgspec.structs import replace

    size = published.read.pixel_size_nm
    return replace(known, parent_id=name, pixel_size_nm=size or known.pixel_size_nm)
