"""A TCP proxy that records one connection, and plays it back: what an eavesdropper can do."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import NamedTuple, Self

PATIENCE_S = 5.0


class Chunk(NamedTuple):
    """Bytes that the client sent, and how many had come from the server before."""

    data: bytes
    after: int


class Recorder:
    """Stands between a client, which connects to `address`, and a server's port."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.chunks: list[Chunk] = []
        self._stop_here, self._stop_there = socket.socketpair()
        self._thread = threading.Thread(target=self._run)

    @property
    def sent(self) -> bytes:
        """All that the client has sent."""
        return b"".join(chunk.data for chunk in self.chunks)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_here.close()
        self._thread.join()
        self._stop_there.close()
        self._listener.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting:
            for end in (self._listener, self._stop_there):
                waiting.register(end, selectors.EVENT_READ)
            if self._stop_there in [key.fileobj for key, _ in waiting.select()]:
                return
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._server_port))
        with client, server, selectors.DefaultSelector() as waiting:
            for end in (client, server, self._stop_there):
                waiting.register(end, selectors.EVENT_READ)
            self._pass_on(client, server, waiting)

    def _pass_on(
        self, client: socket.socket, server: socket.socket, waiting: selectors.DefaultSelector
    ) -> None:
        answered = 0
        while True:
            for key, _ in waiting.select():
                if key.fileobj is self._stop_there:
                    return
                data = (client if key.fileobj is client else server).recv(65536)
                if not data:
                    return
                if key.fileobj is client:
                    self.chunks.append(Chunk(data, answered))
                    server.sendall(data)
                else:
                    answered += len(data)
                    client.sendall(data)

    def play_back(self, port: int) -> int:
        """Say it all again in the same rhythm; return how many bytes the server answered."""
        answered = 0
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as again:
            try:
                for chunk in self.chunks:
                    while answered < chunk.after:
                        data = again.recv(65536)
                        if not data:
                            return answered
                        answered += len(data)
                    again.sendall(chunk.data)
                while data := again.recv(65536):
                    answered += len(data)
            except OSError:
                pass  # the server has hung up in its own way, or says nothing more
        return answered
