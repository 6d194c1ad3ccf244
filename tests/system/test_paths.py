"""What a frame says of itself never decides where a file is written."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from protocols import Buffer, decode, encode
from protocols.messages import Accepted, Envelope, Failed, Metadata, Offer, Refused
from services.runtime.endpoints import Outlet, Requester
from services.runtime.places import Places
from services.runtime.spool import name_of
from services.runtime.topology import Topology
from tests.helpers.command import haadflow
from tests.helpers.garbage import particle, png
from tests.helpers.hostile_wire import with_body
from tests.helpers.up import Up

pytestmark = pytest.mark.system

TAKEN = (
    "../../x", "/haadflow-was-here", "..", ".", "a/../../../../b", "~/x", "C:\\x", "CON", "-rf",
    "$(touch pwned)", "`touch pwned`", "%s%n", "{0.__class__}", "=cmd()", "x.hf", "000000000000.hf",
    "Same", "same", "SAME", "same.png", "\u202egnp.exe", "x" * 512, "../" * 170,
)  # fmt: skip
REFUSED = ("x" * 4000, "../" * 1000, "a\0b", "a\nb", "a\u2028b", "")
ANSWER_MS = 30_000


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}


class Offering:
    """A detector in the test's hands, that says of its images what it likes."""

    def __init__(self, address: str) -> None:
        self._socket = Requester(address)
        self._number = 0

    def offer(self, name: str) -> Accepted:
        self._number += 1
        metadata = Metadata(parent_id=name, source=name, extra={name[:128]: name})
        offer = Offer(session=name[:128], offer=self._number, metadata=metadata, image=particle(96))
        answer = self.answer_to(encode(offer))
        assert isinstance(answer, Accepted), answer
        return answer

    def answer_to(self, parts: list[Buffer] | list[bytes]) -> Accepted | Refused:
        self._socket.send(parts)
        answer = self._socket.receive(ANSWER_MS)
        assert answer is not None
        return decode(answer, expect=(Accepted, Refused))

    def close(self) -> None:
        self._socket.close(0)


def test_pictures_tables_and_dead_letters_stay_where_they_belong(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    with Up(folder) as up:
        topology = Topology.load(up.topology)
        places = Places(up.out)
        assert topology.source.offers is not None
        before = files_below(tmp_path)
        detector = Offering(topology.source.offers)
        for name in REFUSED:
            answer = detector.answer_to(with_body("offer", "metadata.parent_id", name))
            assert isinstance(answer, Refused)
            assert "parent_id" in answer.reason
        accepted = [detector.offer(name) for name in TAKEN]
        up.until(lambda figures: figures["located"] == len(TAKEN))
        # Those that fail are frames that wait, as far as the chain can tell.
        up.scale("quality_gate=0")
        up.until(lambda figures: figures["stages"][0]["workers"] == 0)
        accepted += [detector.offer(f"failed {name}"[:512]) for name in TAKEN]
        sink = Outlet(topology.sink.results)
        for name, frame in zip(TAKEN, accepted[len(TAKEN) :], strict=True):
            envelope = Envelope(
                run=frame.run, seq=frame.seq, metadata=Metadata(parent_id=name, source=name)
            )
            failed = Failed(envelope=envelope, stage=name[:128], reason=name, traceback=name)
            assert sink.send(encode(failed), timeout_ms=ANSWER_MS)
        up.until(lambda figures: figures["failed"] == len(TAKEN) and not figures["open"])
        sink.close()
        detector.close()
        down = haadflow("down", "--pictures", "100", "--topology", up.topology, cwd=folder)
        assert down.returncode == 3, down.stderr

    new = files_below(tmp_path) - before
    out = up.out.relative_to(tmp_path)
    assert all(path.is_relative_to(out) for path in new), new
    seqs = [frame.seq for frame in accepted]
    dead = {path.name for path in places.dead_letters.iterdir()}
    assert dead == {name_of(seq) for seq in seqs[len(TAKEN) :]}
    kept = {path.name for path in places.keepsakes.iterdir()}
    assert kept == {name_of(seq) for seq in seqs[: len(TAKEN)]}
    pictures = {path.name for path in (up.out / "overlays").iterdir()}
    assert {int(name.partition("_")[0]) for name in pictures} == set(seqs)
    assert len({name.casefold() for name in pictures}) == len(seqs)
    assert all(re.fullmatch(r"\d{6}_[A-Za-z0-9._-]+\.png", name) for name in pictures)
    with (up.out / "frames.csv").open(newline="") as file:
        names = {row["parent_id"].removeprefix("'") for row in csv.DictReader(file)}
    assert names == {*TAKEN}
    assert haadflow("verify", up.out).returncode == 0


def test_a_run_over_files_with_such_names_writes_into_its_folder_only(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    names = ("P.png", "p.png", "..p.png", "-o.png", "$(touch pwned).png", "a\\..\\b.png", "%s.png")
    for name in names:
        (images / name).write_bytes(png(particle(96)))
    before = files_below(tmp_path)
    done = haadflow("run", images, "--out", out, "--pictures", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    new = files_below(tmp_path) - before
    assert all(path.parts[0] == "out" for path in new), new
    pictures = [path.name for path in (out / "overlays").iterdir()]
    # A hidden file is no image of a folder's.
    assert len({name.casefold() for name in pictures}) == len(names) - 1
