"""The topology file: what is wrong is named with the file and the place in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.settings_file import Key, line_of
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
        (STAGE.replace(":2", ":1"), "used twice, also by stage boxing.frames"),
        (STAGE.replace("127.0.0.1:2", "localhost:1"), "used twice"),
        (STAGE.replace("127.0.0.1:2", "*:2"), "expected a host's name or number, not *"),
        (STAGE + 'stages = ["boxing", "boxing"]', "stage 'boxing' is there twice"),
        (STAGE.replace("boxing", "../boxing"), "expected small letters, digits and _"),
        (STAGE + "deadline_s = nan", "> 0"),
        (STAGE + "deadline_s = inf", "<= 1000000000.0"),
        (STAGE + '[chain]\nout = ""', "expected the name of a folder"),
        (STAGE + '[chain]\nout = "a\\u0000b"', "expected the name of a folder"),
        (STAGE + "workers = 1\nworkers = 2", "Cannot overwrite a value"),
        (STAGE + "x = " + "[" * 3000, "nested too deeply"),
        ("#" * 1_100_000, "more than the limit of 1048576 bytes"),
        (STAGE.replace(":2", ":70000"), "port 70000; expected 1 to 65535"),
        (STAGE.replace("127.0.0.1:2", "127.0.0.999:2"), "127.0.0.999 is no IP address"),
        (STAGE.replace("127.0.0.1:2", "[::g]:2"), "expected tcp://HOST:PORT"),
        (STAGE.replace("127.0.0.1:2", "[::1::]:2"), r"is no IP address"),
        (
            STAGE.replace("127.0.0.1:2", "[0:0::1]:3").replace("127.0.0.1:1", "[::1]:3"),
            "is used twice, also by stage boxing.frames",
        ),
        (STAGE + '[sink]\ndurability = "always"', "expected none, batch, frame; got 'always'"),
        (STAGE.replace("tcp://127.0.0.1:2", "http://x"), "expected tcp://HOST:PORT or ipc:///PATH"),
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
        with pytest.raises(TopologyError, match=r"toml:\d+: stage boxing\.work: ") as raised:
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


WRONG = """\
# every line below says what is wrong with it
[chain]
beats = 5741                            # expected `str`
windows = 3                             # unknown field `windows`

[source]
offers = "http://x"                     # expected tcp://HOST:PORT
quiet_s = -1.0                          # > 0

[[stage]]
name = "boxing"
frames = "tcp://127.0.0.1:1"
work = "tcp://127.0.0.1:2"
workers = [                             # Expected `int`
  1,
]

[[stage]]                               # required field `frames`
name = "clustering"
work = "tcp://127.0.0.1:4"
"""


def test_everything_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as raised:
        loaded(tmp_path, WRONG)
    told = str(raised.value).splitlines()
    marked = {
        number: line.rpartition("# ")[2]
        for number, line in enumerate(WRONG.splitlines(), 1)
        if "# " in line and number > 1
    }
    assert len(told) == len(marked)
    for number, said in marked.items():
        place = f"{tmp_path}/chain.toml:{number}: "
        (line,) = [line for line in told if line.startswith(place)]
        assert said.lower() in line.lower()


def test_a_line_that_is_no_toml_and_a_byte_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"chain\.toml:2: .*Expected"):
        loaded(tmp_path, "[chain]\nout haadflow\n")
    path = tmp_path / "chain.toml"
    path.write_bytes(b"[chain]\nout = '\xff'\n")
    with pytest.raises(TopologyError, match=r"chain\.toml:2: byte 15 is not UTF-8"):
        Topology.load(path)
    path = tmp_path / "chain.json"
    path.write_text('{"stage":\n oops}')
    with pytest.raises(TopologyError, match=r"chain\.json:2: Expecting value"):
        Topology.load(path)


def test_a_topology_written_on_another_system_is_read(tmp_path: Path) -> None:
    path = tmp_path / "chain.toml"
    path.write_bytes(b"\xef\xbb\xbf" + STAGE.replace("\n", "\r\n").encode())
    assert Topology.load(path).stage[0].name == "boxing"


_KEYS = st.from_regex(r"\A[a-z]{1,3}\Z")
_VALUES = st.integers() | st.booleans() | st.lists(st.integers(), max_size=3)


@given(
    st.dictionaries(_KEYS, _VALUES, max_size=4),
    st.dictionaries(_KEYS, st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4), max_size=4),
    st.data(),
)
def test_the_line_of_any_key_is_found(
    plain: dict[str, object], tables: dict[str, dict[str, object]], data: st.DataObject
) -> None:
    tables = {name: table for name, table in tables.items() if name not in plain}
    lines, places = [], {}

    def write(key: Key, value: object) -> None:
        lines.extend([""] * data.draw(st.integers(0, 2)))
        places[key] = len(lines) + 1
        between = data.draw(st.sampled_from((", ", ",\n  ")))
        text = "[" + between.join(map(str, value)) + "]" if isinstance(value, list) else value
        lines.extend(f"{key[-1]} = {str(text).lower()}".split("\n"))

    for name, value in plain.items():
        write((name,), value)
    for table, entries in tables.items():
        lines.append(f"[{table}]  # a table")
        places[table,] = len(lines)
        for name, value in entries.items():
            write((table, name), value)
    text = "\n".join(lines)
    assert {key: line_of(text, key) for key in places} == places
