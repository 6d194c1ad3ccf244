"""Detectors that repeat themselves, leave gaps, start again, or are two: on the wire, by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from protocols import decode, encode
from protocols.messages import Accepted, Located, Metadata, Offer
from services.detectors.files import read_image
from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.endpoints import Requester
from services.runtime.places import Places
from services.runtime.topology import Topology
from tests.helpers.command import haadflow
from tests.helpers.soak import soak
from tests.helpers.up import FEW_CORES, Up

pytestmark = [pytest.mark.system, soak]

ANSWER_MS = 30_000


class Camera:
    """A detector's session: offers under numbers of the test's choice."""

    def __init__(self, address: str, session: str, images: Sequence[Path]) -> None:
        self._session = session
        self._images = images
        self._socket = Requester(address)

    def offer(self, *numbers: int) -> list[Accepted]:
        """Offer all at once; return the answers by number of the offer, as often as they came."""
        for number in numbers:
            path = self._images[number % len(self._images)]
            metadata = Metadata(parent_id=f"image {number}", source=path.name)
            image = read_image(path).image
            self._socket.send(
                encode(Offer(session=self._session, offer=number, metadata=metadata, image=image))
            )
        answers: list[Accepted] = []
        for _ in numbers:
            parts = self._socket.receive(ANSWER_MS)
            assert parts is not None
            answers.append(decode(parts, expect=(Accepted,)))
        return sorted(answers, key=lambda answer: answer.offer)

    def close(self) -> None:
        self._socket.close(0)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path, shipped=FEW_CORES) as chain:
        yield chain


def test_repeats_gaps_new_sessions_and_two_detectors_make_one_frame_an_offer(
    up: Up, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    write_megalibrary(folder, 4, seed=3, sizes=(96,))
    images = sorted(folder.glob("*.png"))
    address = Topology.load(up.topology).source.offers
    assert address is not None
    one, two = (Camera(address, session, images) for session in ("one", "two"))
    # Gaps, repeats at once, and numbers that come late.
    answers = one.offer(1, 2, 2, 9, 5, 1)
    assert [answer.offer for answer in answers] == [1, 1, 2, 2, 5, 9]
    assert len({(answer.offer, answer.seq) for answer in answers}) == 4
    # Two at once, with the same numbers and the same names.
    assert len({answer.seq for answer in (*one.offer(3, 4), *two.offer(3, 4))}) == 4
    # Started again, and counting from the beginning: in a new session they are new images.
    again = Camera(address, "one again", images)
    seen = {answer.seq for answer in answers}
    assert not seen & {answer.seq for answer in again.offer(1, 2, 5, 9)}
    # A repeat of an offer whose frame has ended long since.
    up.until(lambda figures: figures["located"] == 12)
    assert {answer.seq for answer in one.offer(1, 2, 5, 9)} == seen
    for camera in (one, two, again):
        camera.close()
    down = haadflow("down", "--pictures", "0", "--topology", up.topology)
    assert down.returncode == 0, down.stderr
    assert "accepted 12 = located 12 " in down.stdout
    with ResultStore(Places(up.out).results) as store:
        ended = [outcome for outcome in store.results() if isinstance(outcome, Located)]
    assert len({outcome.envelope.metadata.parent_id for outcome in ended}) == 12
    for path in images:
        mine = [outcome.boxes for outcome in ended if outcome.envelope.metadata.source == path.name]
        assert len(mine) >= 2
        assert all(np.array_equal(boxes, mine[0]) for boxes in mine)
