"""The topology file: what is wrong is named with the file and the place in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.topology import STAGES, Topology, TopologyError, one_machine

SHIPPED = Path(__file__).parents[2] / "deploy" / "topology.toml"
STAGE = '[[stage]]\nname = "boxing"\nframes = "tcp://127.0.0.1:1"\nwork = "tcp://127.0.0.1:2"\n'


def loaded(tmp_path: Path, text: str) -> Topology:
    path = tmp_path / "chain.toml"
    path.write_text(text)
    return Topology.load(path)


def test_the_shipped_topology_is_the_published_method() -> None:
    topology = Topology.load(SHIPPED)
    assert tuple(table.name for table in topology.stage) == STAGES
    assert all("127.0.0.1" in address for _, address in topology.addresses())


def test_results_go_to_the_next_stage_and_at_last_to_the_sink() -> None:
    topology = Topology.load(SHIPPED)
    assert topology.onward_address("clustering") == topology.stage_named("boxing").frames
    assert topology.onward_address("boxing") == topology.sink.results


def test_saved_as_json_it_is_the_same(tmp_path: Path) -> None:
    topology = Topology.load(SHIPPED)
    topology.save(tmp_path / "topology.json")
    assert Topology.load(tmp_path / "topology.json") == topology


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "missing required field `stage`"),
        ("stage = []", "expected at least one"),
        (STAGE + STAGE, "name 'boxing' is there twice"),
        (STAGE + "wokers = 2", "unknown field `wokers`"),
        (STAGE + 'workers = "two"', "Expected `int`, got `str`"),
        (STAGE + "workers = -1", ">= 0"),
        (STAGE.replace(":2", ":1"), "used twice"),
        (STAGE.replace(":2", ":70000"), "port 70000; expected 1 to 65535"),
        (STAGE.replace("tcp://127.0.0.1:2", "http://x"), "matching regex"),
        (STAGE.replace("tcp://127.0.0.1:2", "ipc:///" + "x" * 120), "longer than 100 bytes"),
        ("[[stage]", "chain.toml"),
        (STAGE + "[chain]\nwindow = 3", "unknown field `window`"),
        (STAGE + "[security]\nopen = true", "unknown field `open`"),
        (STAGE + '[security]\nkeys = ""', "length >= 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(TopologyError, match=r"chain\.toml") as raised:
        loaded(tmp_path, text)
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0:2",
        "tcp://*:2",
        "tcp://192.0.2.1:2",
        "tcp://127.0.0.1.example.org:2",
        "tcp://127.1:2",
        "tcp://host-b:2",
        "tcp://eth0:2",
        "tcp://[::]:2",
    ],
)
def test_an_address_that_others_can_reach_needs_keys_or_plain_words(
    tmp_path: Path, address: str
) -> None:
    text = STAGE.replace("tcp://127.0.0.1:2", address)
    for more in ("", "[security]\n", "[security]\nopen_network = false\n"):
        with pytest.raises(TopologyError, match=r"chain\.toml: stage boxing\.work: ") as raised:
            loaded(tmp_path, text + more)
        assert address in str(raised.value)
        assert "security.keys" in str(raised.value)
        assert "security.open_network = true" in str(raised.value)
    assert loaded(tmp_path, text + "[security]\nopen_network = true\n").reachable() == [address]
    assert not loaded(tmp_path, text + '[security]\nkeys = "keys"\n').is_open


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:2", "tcp://127.3.2.1:2", "tcp://localhost:2", "tcp://[::1]:2", "ipc:///x/y"],
)
def test_what_only_this_machine_reaches_needs_no_keys(tmp_path: Path, address: str) -> None:
    topology = loaded(tmp_path, STAGE.replace("tcp://127.0.0.1:2", address))
    assert topology.reachable() == []


def test_the_folder_of_keys_is_beside_the_topology_and_stays_there(tmp_path: Path) -> None:
    topology = loaded(tmp_path, STAGE + '[security]\nkeys = "my keys"\n')
    assert topology.security.keys == str(tmp_path / "my keys")
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    topology.save(copy / "topology.json")
    assert Topology.load(copy / "topology.json") == topology


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nowhere\.toml: .*No such file"):
        Topology.load(tmp_path / "nowhere.toml")


def test_an_unknown_stage_is_answered_with_those_there_are(tmp_path: Path) -> None:
    topology = one_machine(tmp_path, out=tmp_path, workers={}, parameters={})
    with pytest.raises(TopologyError, match=r"no stage 'boxes'.*quality_gate, preprocessing"):
        topology.stage_named("boxes")
