"""The folder of keys on one host: its own, and the list of those that it lets in.

=================== ==================================================================
`ROLE.key_secret`   this host's key pair for a role, mode 0600 (czmq's zcert format)
`ROLE.key`          its public half, to be passed on
`allowed`           one line a key: `allow` or `revoked`, role, name, public key
=================== ==================================================================

The list says whom an end that listens lets in, and which key a connecting end expects there. It is
read again whenever it changes: a look at its modification time costs two microseconds.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from .endpoints import is_key, make_certificate, read_certificate, read_public
from .roles import LISTENING, ROLES, Role

State = Literal["allow", "revoked"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
OTHERS = 0o077
OTHERS_WRITE = 0o022
HEADING = "# haadflow keys: state, role, name, public key. Change it with `haadflow keys`.\n"


class KeysError(ValueError):
    """Keys cannot be used as they are: which file, what is wrong, what to do."""


class Entry(NamedTuple):
    """One line of the list."""

    state: State
    role: Role
    name: str
    public: str

    @property
    def allowed(self) -> bool:
        """Whether it is let in."""
        return self.state == "allow"


class Allowed:
    """The list of a folder, as it is now."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "allowed"
        self.entries: tuple[Entry, ...] = ()
        self._by_key: dict[str, Entry] = {}
        self._seen: tuple[int, int, int] | None = None
        self._log = structlog.get_logger()
        self._reading = threading.Lock()
        self._read()

    def of(self, public: str) -> Entry | None:
        """Return what the list said of a key when it was read last."""
        return self._by_key.get(public)

    def now(self, public: str) -> Entry | None:
        """Return what the list says of a key, reading it again if it has changed."""
        self._refresh()
        return self._by_key.get(public)

    def server(self, role: Role) -> str:
        """Return the one key that is allowed for a role that listens."""
        keys = [entry.public for entry in self.entries if entry.role == role and entry.allowed]
        if not keys:
            raise KeysError(
                f"{self.path}: no key of the {role}; `haadflow keys show` where it runs tells its "
                f"public key, `haadflow keys allow {role} KEY` puts it here"
            )
        if len(keys) > 1:
            raise KeysError(f"{self.path}: {len(keys)} keys of the {role}; revoke all but one")
        return keys[0]

    def _refresh(self) -> None:
        """Read the list again if it has changed. One that cannot be read leaves all as it was."""
        seen = self._look()
        if seen == self._seen:
            return
        with self._reading:
            if seen == self._seen:
                return  # another thread has
            try:
                self._read()
            except KeysError as error:
                self._seen = seen
                self._log.error("allowed.unreadable", error=str(error))
            else:
                self._log.info("allowed.read", keys=sum(entry.allowed for entry in self.entries))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        seen = self._look()
        entries = _read_list(self.path)
        self._by_key = {entry.public: entry for entry in entries}
        self.entries, self._seen = entries, seen


class KeyFolder:
    """The keys of one host.

    Parameters
    ----------
    path
        The folder; made by `new` and `allow`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def own(self, role: Role) -> tuple[bytes, bytes]:
        """Return this host's (public, secret) for a role, as Z85 text."""
        self._check_folder()
        path = self._secret(role)
        _refuse_open_to(path, OTHERS, "others can read or write it", f"chmod 600 {path}")
        try:
            return read_certificate(path)
        except (OSError, ValueError) as error:
            raise KeysError(f"{path}: {error}") from error

    def has(self, role: Role) -> bool:
        """Say whether this host has a key for a role."""
        return self._secret(role).exists()

    def lacks(self, role: Role) -> bool:
        """Say whether a key for a role is to be drawn: there is none, or it was revoked."""
        if not self.has(role):
            return True
        known = self.allowed().of(self.own(role)[0].decode())
        return known is not None and not known.allowed

    def allowed(self) -> Allowed:
        """Return the list."""
        self._check_folder()
        return Allowed(self.path)

    def new(self, role: Role, name: str = "") -> Entry:
        """Draw a key for a role on this host, and allow it here; one that was revoked is replaced.

        Raises
        ------
        KeysError
            There is one already, and it is allowed.
        """
        self._make()
        if not self.lacks(role):
            raise KeysError(f"{self._secret(role)}: there is a key already; revoke it first")
        before = os.umask(OTHERS)
        try:
            self._draw(role)
        finally:
            os.umask(before)
        return self.allow(role, self.own(role)[0].decode(), name or role)

    def allow(self, role: Role, public: str, name: str) -> Entry:
        """Put a key, or that of a file, on the list.

        Raises
        ------
        KeysError
            It is no key; it, its name, or another key of a role that listens is there already.
        """
        if not is_key(public) and Path(public).exists():
            public = _public_of(Path(public))
        if not is_key(public):
            raise KeysError(f"{public!r:.80}: expected a public key of 40 characters, or its file")
        if NAME.fullmatch(name) is None:
            raise KeysError(f"{name!r:.80}: expected a name of letters, digits, '.', '_' and '-'")
        entry = Entry("allow", role, name, public)

        def put(entries: list[Entry]) -> list[Entry]:
            for known in entries:
                if known.public == public and known.allowed:
                    raise KeysError(f"this key is allowed already, as {known.role} {known.name}")
                if known.allowed and known.name == name:
                    raise KeysError(f"{name}: another key has this name; say --name, or revoke it")
                if known.allowed and known.role == role and role in LISTENING:
                    raise KeysError(f"the {role} has a key, {known.name}; revoke it first")
            return [*(known for known in entries if known.public != public), entry]

        self._make()
        self._change(put)
        return entry

    def revoke(self, which: str) -> Entry:
        """Mark an allowed key as revoked, by its name or itself."""
        found: list[Entry] = []

        def mark(entries: list[Entry]) -> list[Entry]:
            found.extend(e for e in entries if e.allowed and which in (e.name, e.public))
            if not found:
                names = ", ".join(entry.name for entry in entries if entry.allowed) or "none"
                raise KeysError(f"{which!r:.80}: no such key is allowed; there are {names}")
            return [e._replace(state="revoked") if e == found[0] else e for e in entries]

        self._change(mark)
        return found[0]

    def _secret(self, role: Role) -> Path:
        return self.path / f"{role}.key_secret"

    def _draw(self, role: Role) -> None:
        self._secret(role).unlink(missing_ok=True)
        make_certificate(self.path, role)
        while self.own(role)[0].startswith(b"-"):  # on a command line it would be an option
            make_certificate(self.path, role)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise KeysError(f"{self.path}: there is a file, and no folder") from error
        self._check_folder()
        if not self._list.exists():
            _write_list(self._list, [])

    @property
    def _list(self) -> Path:
        return self.path / "allowed"

    def _check_folder(self) -> None:
        if not self.path.is_dir():
            raise KeysError(f"{self.path}: no folder of keys; `haadflow keys new` makes it")
        _refuse_open_to(
            self.path, OTHERS_WRITE, "others can write into it", f"chmod go-w {self.path}"
        )

    def _change(self, change: Callable[[list[Entry]], list[Entry]]) -> None:
        self._check_folder()
        with _alone_in(self.path):
            _write_list(self._list, change(list(_read_list(self._list))))


def _public_of(path: Path) -> str:
    try:
        return read_public(path)
    except (OSError, ValueError) as error:
        raise KeysError(f"{path}: {error}") from error


def _read_list(path: Path) -> tuple[Entry, ...]:
    _refuse_open_to(path, OTHERS_WRITE, "others can write it", f"chmod go-w {path}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{path}: {error}") from error
    if not lines:
        # An editor that is just writing it: nobody is to be turned away for that.
        raise KeysError(f"{path}: is empty; expected at least its heading")
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = _entry(f"{path}, line {number}", line.split())
        if entry.public in entries:
            raise KeysError(f"{path}, line {number}: this key is there twice")
        entries[entry.public] = entry
    return tuple(entries.values())


def _entry(where: str, words: list[str]) -> Entry:
    if len(words) != 4:
        raise KeysError(f"{where}: {len(words)} words; expected state, role, name, public key")
    state, role, name, public = words
    if state not in ("allow", "revoked"):
        raise KeysError(f"{where}: state {state!r:.40}; expected allow or revoked")
    if role not in ROLES:
        raise KeysError(f"{where}: role {role!r:.40}; expected one of {', '.join(ROLES)}")
    if NAME.fullmatch(name) is None:
        raise KeysError(f"{where}: name {name!r:.80}; expected letters, digits, '.', '_' and '-'")
    if not is_key(public):
        raise KeysError(f"{where}: {public!r:.80} is no public key of 40 characters")
    return Entry(state, role, name, public)  # type: ignore[arg-type]  # both have been compared


def _write_list(path: Path, entries: list[Entry]) -> None:
    """Write the list, whole or not at all."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(HEADING)
        file.writelines(" ".join(entry) + "\n" for entry in entries)
    partial.replace(path)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_open_to(path: Path, bits: int, what: str, cure: str) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}; `haadflow keys new` makes it") from error
    if mode & bits:
        raise KeysError(f"{path}: {what} (mode {stat.S_IMODE(mode):04o}); {cure}")
