"""The folder of keys: modes, names, the list; what is wrong is named with what to do about it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from zmq.utils import z85

from services.cli import main
from services.runtime.keyring import Keyring
from services.runtime.keys import KeyFolder, KeysError
from services.runtime.roles import LISTENS, MAY_CONNECT, ROLES

KEY = z85.encode(bytes(range(32))).decode()
OTHER = z85.encode(bytes(range(32, 64))).decode()
DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_their_owner_can_read_key_files_whatever_the_umask(folder: KeyFolder) -> None:
    before = os.umask(0)
    try:
        folder.new("worker")
        after = os.umask(0)
    finally:
        os.umask(before)
    assert after == 0
    assert mode(folder.path) == 0o700
    assert {path.name: mode(path) for path in folder.path.iterdir()} == {
        "allowed": 0o600,
        "worker.key": 0o600,
        "worker.key_secret": 0o600,
    }


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_can_read_or_write_is_refused(folder: KeyFolder, bits: int) -> None:
    folder.new("worker")
    secret = folder.path / "worker.key_secret"
    secret.chmod(bits)
    with pytest.raises(KeysError, match=rf"{secret}: others can .*{bits:04o}.*; chmod 600"):
        folder.own("worker")
    secret.chmod(0o400)
    assert len(folder.own("worker")[0]) == 40


def test_a_list_or_folder_that_others_can_write_is_refused(folder: KeyFolder) -> None:
    folder.new("worker")
    allowed = folder.path / "allowed"
    allowed.chmod(0o664)
    with pytest.raises(KeysError, match=f"{allowed}: others can write it .*chmod go-w"):
        folder.allowed()
    allowed.chmod(0o644)
    folder.allowed()
    folder.path.chmod(0o770)
    with pytest.raises(KeysError, match=f"{folder.path}: others can write into it"):
        folder.allowed()
    with pytest.raises(KeysError, match="others can write into it"):
        folder.own("worker")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected public-key and secret-key"),
        ('curve\n    public-key = "short"\n    secret-key = "short"\n', "40 characters each"),
        (f'curve\n    public-key = "{KEY}"\n', "expected public-key and secret-key"),
        (
            f'curve\n    public-key = "{KEY}"\n    secret-key = "{OTHER}"\n',
            "its secret-key does not belong to its public-key",
        ),
    ],
)
def test_a_damaged_key_file_is_named(folder: KeyFolder, text: str, complaint: str) -> None:
    folder.new("sink")
    secret = folder.path / "sink.key_secret"
    secret.write_text(text)
    with pytest.raises(KeysError, match=f"{secret}: ") as raised:
        folder.own("sink")
    assert complaint in str(raised.value) or "No public key found" in str(raised.value)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("allow worker", "2 words; expected state, role, name, public key"),
        (f"permit worker w {KEY}", "state 'permit'; expected allow or revoked"),
        (f"allow root w {KEY}", "role 'root'; expected one of operator, supervisor"),
        (f"allow worker ../w {KEY}", "name '../w'; expected letters"),
        ("allow worker w key", "'key' is no public key of 40 characters"),
        (f"allow worker a {KEY}\nallow detector b {KEY}", "line 3: this key is there twice"),
    ],
)
def test_a_wrong_line_of_the_list_is_named(folder: KeyFolder, line: str, complaint: str) -> None:
    folder.allow("worker", OTHER, "other")
    allowed = folder.path / "allowed"
    allowed.write_text(f"# heading\n{line}\n")
    with pytest.raises(KeysError, match=f"{allowed}, line [23]: ") as raised:
        folder.allowed()
    assert complaint in str(raised.value)


def test_names_and_keys_are_allowed_once_and_revoked_ones_may_come_again(folder: KeyFolder) -> None:
    folder.allow("worker", KEY, "host-b")
    with pytest.raises(KeysError, match="allowed already, as worker host-b"):
        folder.allow("detector", KEY, "another")
    with pytest.raises(KeysError, match="host-b: another key has this name"):
        folder.allow("worker", OTHER, "host-b")
    assert folder.revoke(KEY).name == "host-b"
    with pytest.raises(KeysError, match="'host-b': no such key is allowed; there are none"):
        folder.revoke("host-b")
    folder.allow("worker", OTHER, "host-b")
    folder.allow("detector", KEY, "camera-1")
    states = [(entry.state, entry.role, entry.name) for entry in folder.allowed().entries]
    assert states == [("allow", "worker", "host-b"), ("allow", "detector", "camera-1")]


def test_who_listens_has_one_key(folder: KeyFolder) -> None:
    folder.allow("source", KEY, "source")
    with pytest.raises(KeysError, match="the source has a key, source; revoke it first"):
        folder.allow("source", OTHER, "second")
    folder.revoke("source")
    with pytest.raises(KeysError, match=r"no key of the source; .*keys allow source KEY"):
        folder.allowed().server("source")


def test_a_new_key_takes_the_place_of_a_revoked_one_only(folder: KeyFolder) -> None:
    first = folder.new("worker")
    with pytest.raises(KeysError, match=r"worker\.key_secret: there is a key already"):
        folder.new("worker")
    folder.revoke("worker")
    second = folder.new("worker")
    assert second.public != first.public
    assert folder.own("worker")[0].decode() == second.public
    known = folder.allowed().of(first.public)
    assert known is not None
    assert not known.allowed


def test_a_key_is_allowed_from_its_file(folder: KeyFolder, tmp_path: Path) -> None:
    elsewhere = KeyFolder(tmp_path / "elsewhere")
    theirs = elsewhere.new("detector")
    file = elsewhere.path / "detector.key"
    assert folder.allow("detector", str(file), "camera-1").public == theirs.public
    file.write_text("nonsense")
    with pytest.raises(KeysError, match=f"{file}: No public key"):
        folder.allow("detector", str(file), "camera-2")


def test_a_host_lacks_nothing_or_is_told_what(folder: KeyFolder) -> None:
    with pytest.raises(KeysError, match="no folder of keys; `haadflow keys new` makes it"):
        Keyring(folder.path)
    for role in ROLES:
        folder.new(role)
    Keyring(folder.path).check(ROLES)
    (folder.path / "queue.key_secret").unlink()
    with pytest.raises(KeysError, match=r"queue\.key_secret: No such file"):
        Keyring(folder.path).check(ROLES)
    folder.revoke("queue")
    with pytest.raises(KeysError, match="no key of the queue"):
        Keyring(folder.path).check(["worker"])
    folder.allow("queue", KEY, "another")
    Keyring(folder.path).check(["worker"])


def test_a_service_whose_own_key_is_not_the_one_that_others_expect_is_told(
    folder: KeyFolder,
) -> None:
    for role in ROLES:
        folder.new(role)
    folder.revoke("sink")
    folder.allow("sink", KEY, "another")
    with pytest.raises(KeysError, match="another key than this host's is that of the sink"):
        Keyring(folder.path).check(["sink"])


def test_without_a_folder_nothing_is_locked() -> None:
    keyring = Keyring(None)
    assert keyring.listen("source.offers") is None
    assert keyring.connect("detector", "source.offers") is None
    keyring.check(ROLES)


def test_the_document_has_the_table_of_who_may_connect() -> None:
    text = DOCUMENT.read_text()
    for end, roles in MAY_CONNECT.items():
        row = f"| `{end}` | {LISTENS[end]} | {', '.join(sorted(roles))} |"
        assert row in text, row


def test_keys_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def keys(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["haadflow", "keys", *arguments, "--keys", str(folder)])
        monkeypatch.setattr("signal.signal", lambda *_: None)  # those of the test's own process
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    folder = tmp_path / "keys"
    status, drawn, _ = keys("new")
    rows = [line.split("\t") for line in drawn.splitlines()]
    assert (status, [row[0] for row in rows]) == (0, list(ROLES))
    shown = keys("show")[1]
    assert all(row[2] in shown for row in rows)
    assert keys("revoke", "worker")[0] == 0
    assert "revoked  worker" in keys("show")[1]
    for arguments, complaint in (
        (("new", "boss"), "'boss': no such role; expected one of operator"),
        (("allow", "worker", "short"), "'short': expected a public key of 40 characters"),
        (("revoke", "nobody"), "'nobody': no such key is allowed; there are operator"),
        (("new", "sink"), "there is a key already; revoke it first"),
    ):
        status, _, told = keys(*arguments)
        assert status == 2
        assert complaint in told.replace("\n", " ")
