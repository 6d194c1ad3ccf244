"""Feed and controllers as processes, killed in the middle: no box twice, and none is missing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from protocols.messages import Outcome
from tests.helpers.command import haadflow
from tests.helpers.feeding import Feeding, fill, killed, located, rejected

pytestmark = pytest.mark.system

PARENTS, BOXES = 6, 24
ALL = {(seq, box) for seq in range(PARENTS) for box in range(BOXES)}
SLOW_US = 150.0
"""A box then takes 4 ms."""


def parents(run: str) -> Iterator[Outcome]:
    for seq in range(PARENTS):
        yield located(run, seq, BOXES)
    yield rejected(run, PARENTS)


@pytest.fixture
def feeding(tmp_path: Path) -> Iterator[Feeding]:
    with Feeding(fill(tmp_path / "out", parents)) as feeding:
        yield feeding


def all_done(feeding: Feeding) -> bool:
    sums = feeding.sums()
    return bool(sums) and sums["done"].batches == PARENTS + 1


def assert_each_box_once_and_the_account_closes(feeding: Feeding) -> None:
    assert dict(feeding.acquired()) == dict.fromkeys(ALL, 1), feeding.said()
    verified = haadflow("verify", feeding.places.out)
    assert verified.returncode == 0, verified.stdout
    assert f"boxes {len(ALL)} = acquired {len(ALL)} + rejected 0 + failed 0 + open 0" in (
        verified.stdout
    )


def test_a_controller_killed_in_the_middle_of_batches_acquires_each_box_once(
    feeding: Feeding,
) -> None:
    feeding.start_feed()
    kills = 0
    for share in (10, 31, 60, 90):
        controller = feeding.start("a", dwell_us=SLOW_US)
        feeding.until_acquired(share)
        killed(controller)
        kills += 1
    feeding.start("a")
    feeding.until(lambda: all_done(feeding))
    assert kills == 4
    assert_each_box_once_and_the_account_closes(feeding)


def test_a_feed_killed_in_the_middle_of_batches_loses_none_and_repeats_none(
    feeding: Feeding,
) -> None:
    feeding.start("a", dwell_us=SLOW_US)
    for share in (10, 31, 60, 90):
        feeding.start_feed()
        feeding.until_acquired(share)
        assert feeding.feed is not None
        killed(feeding.feed)
    feeding.start_feed()
    feeding.until(lambda: all_done(feeding))
    assert_each_box_once_and_the_account_closes(feeding)


def test_two_controllers_share_a_feed_while_everybody_is_killed_in_turns(feeding: Feeding) -> None:
    feeding.start_feed()
    for share in (12, 40, 80):
        feeding.start("a", dwell_us=SLOW_US)
        feeding.start("b", "--window", "2", dwell_us=SLOW_US)
        feeding.until_acquired(share)
        assert feeding.feed is not None
        for process in (feeding.controllers["b"], feeding.feed, feeding.controllers["a"]):
            killed(process)
        feeding.start_feed()
    feeding.start("a")
    feeding.start("b")
    feeding.until(lambda: all_done(feeding))
    assert_each_box_once_and_the_account_closes(feeding)


def test_a_controller_that_stands_still_answers_late_and_nothing_is_repeated(
    feeding: Feeding,
) -> None:
    """Stopped, it is connected and silent; meanwhile the feed is started again."""
    feeding.start_feed()
    controller = feeding.start("a", dwell_us=SLOW_US)
    feeding.until_acquired(30)
    controller.send_signal(signal.SIGSTOP)
    assert feeding.feed is not None
    killed(feeding.feed)
    feeding.start_feed()
    feeding.start("b")
    feeding.until(lambda: feeding.sums()["done"].batches == PARENTS)
    assert feeding.sums()["held"].batches == 1
    controller.send_signal(signal.SIGCONT)
    feeding.until(lambda: all_done(feeding))
    assert_each_box_once_and_the_account_closes(feeding)


def test_told_to_end_a_controller_gives_back_what_it_has_not_touched(feeding: Feeding) -> None:
    feeding.start_feed()
    controller = feeding.start("a", dwell_us=SLOW_US)
    feeding.until_acquired(30)
    controller.terminate()
    assert controller.wait(30) == 0
    feeding.until(lambda: feeding.sums()["started"].batches == 0)
    assert feeding.sums()["held"].batches == 0, feeding.said()
    feeding.start("b")
    feeding.until(lambda: all_done(feeding))
    assert_each_box_once_and_the_account_closes(feeding)


def test_without_its_journal_a_killed_controllers_batch_is_held_until_an_operator_decides(
    feeding: Feeding,
) -> None:
    feeding.start_feed()
    controller = feeding.start("a", dwell_us=SLOW_US)
    feeding.until_acquired(30)
    killed(controller)
    (feeding.folder("a") / "journal").unlink()
    for beside in feeding.folder("a").glob("journal-*"):
        beside.unlink()
    feeding.start("a")
    feeding.until(lambda: feeding.sums()["done"].batches == PARENTS)
    out = feeding.places.out
    (held,) = json.loads(haadflow("hold", "list", out, "--json").stdout)["held"]
    doubtful = set(held["in_doubt"])
    assert held["why"].startswith("away: a is gone, and")
    assert 0 < len(doubtful) <= BOXES

    refused = haadflow("hold", "release", out, "nobody")
    assert (refused.returncode, "no such batch" in refused.stderr) == (2, True)
    shown = haadflow("hold", "list", out)
    assert held["parent_id"] in shown.stdout
    released = haadflow("hold", "release", out, held["parent_id"])
    assert released.returncode == 0, released.stderr
    feeding.until(lambda: all_done(feeding))
    verified = json.loads(haadflow("verify", out, "--json").stdout)
    assert verified["closes"] is True
    assert verified["boxes"]["failed"] == len(doubtful)
    assert max(feeding.acquired().values()) == 1
    assert haadflow("hold", "list", out).stdout == "nothing is held\n"


def test_a_second_feed_or_a_second_controller_with_the_same_journal_is_refused(
    feeding: Feeding,
) -> None:
    feeding.start_feed()
    feeding.start("a")
    feeding.until(lambda: all_done(feeding))
    address = f"{feeding.address}-2"
    second = haadflow("feed", feeding.places.out, "--listen", address)
    assert (second.returncode, "another feed offers what lies here" in second.stderr) == (2, True)
    journal = feeding.folder("a") / "journal"
    options = ("--feed", feeding.address, "--journal", journal, "--set", "out=x")
    other = haadflow("controller", "files", *options, cwd=feeding.places.out)
    assert (other.returncode, "another controller has this journal" in other.stderr) == (2, True)
    assert psutil.pid_exists(feeding.controllers["a"].pid)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody", "--feed", "ipc:///x"), "'nobody': no such controller; expected one of"),
        (("files", "--feed", "ipc:///x"), "files: Object missing required field `out`"),
        (("files", "--feed", "here"), "cannot connect to 'here': expected tcp://HOST:PORT"),
        (("files", "--feed", "ipc:///x", "--set", "out"), "--set 'out': expected KEY=VALUE"),
        (("files", "--feed", "ipc:///x", "--set", "dwel=1"), "files: unknown setting 'dwel'"),
        (("files", "--feed", "ipc:///x", "--as", "feed"), "--as feed: gives receipts itself"),
        (("files",), "the topology has no feed.batches; say --feed ADDRESS"),
    ],
)
def test_a_controller_that_cannot_start_says_why(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = haadflow("controller", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
