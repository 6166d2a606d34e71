"""A real nats-server for each test that needs one, so that a test can stop or pause its own."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from support.stopping import stop
from support.waiting import PATIENCE_SECONDS

from hoc.embedded.service import free_port

STREAM: Final = "ACCOUNTS"


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a stream."""

    message_id: str
    subject: str
    headers: dict[str, str]
    data: Any


class NatsServer:
    """Runs in a block. Within it, it can be stopped and started again, with the same port and messages."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: dict[str, object] = {}

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def started(self, **settings: object) -> Generator[None]:
        """Run it with these settings of nats-server until the end of the block."""
        self.start(**settings)
        try:
            yield
        finally:
            self.stop()

    def start(self, **settings: object) -> None:
        """Start it with these settings of nats-server. Returns once it accepts connections."""
        self._settings = settings
        self._directory.mkdir(exist_ok=True)
        config = self._directory / "nats.conf"
        store = {"store_dir": str(self._directory / "store")}
        given = {"host": "127.0.0.1", "port": self.port, "jetstream": store} | settings
        config.write_text(json.dumps(given, ensure_ascii=False), encoding="utf-8")
        program = shutil.which("nats-server", path=str(Path(sys.executable).parent))
        assert program is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._takes_connections():
            assert time.monotonic() < deadline, (self._directory / "log").read_text()
            if self._process is None or self._process.poll() is not None:
                # Start again if it ended: another process may have had its port for a moment.
                with (self._directory / "log").open("wb") as log:
                    self._process = subprocess.Popen(
                        [program, "--config", config], stdout=log, stderr=log, start_new_session=True
                    )
            time.sleep(0.01)

    def restart(self) -> None:
        """Start it again with the settings that it had."""
        self.start(**self._settings)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it neither answer nor close connections, until `resume`."""
        assert self._process is not None
        stop(self._process)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _takes_connections(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    @asynccontextmanager
    async def jetstream(self) -> AsyncGenerator[Any]:
        client: Any = Client()  # parts of it have no types
        await client.connect(self.url, allow_reconnect=False)
        try:
            yield client.jetstream()
        finally:
            await client.close()

    async def count(self, stream: str = STREAM) -> int:
        """The number of messages in the stream, 0 if there is no stream."""
        try:
            async with self.jetstream() as jetstream:
                return int((await jetstream.stream_info(stream)).state.messages)
        except NotFoundError:
            return 0

    async def stored(self, stream: str = STREAM) -> list[Stored]:
        """The stream's messages in order, [] if there is no stream."""
        async with self.jetstream() as jetstream:
            try:
                state = (await jetstream.stream_info(stream)).state
            except NotFoundError:
                return []
            numbers = range(max(state.first_seq, 1), state.last_seq + 1)
            return [_stored(await jetstream.get_msg(stream, number)) for number in numbers]

    async def publish(self, subject: str, data: object, message_id: str | None = None, **ce: str) -> None:
        """Publish JSON or bytes as another service does, with the CloudEvents attributes ``ce``."""
        headers = {f"ce-{name}": value for name, value in ce.items()}
        if message_id is not None:
            headers["Nats-Msg-Id"] = message_id
        async with self.jetstream() as jetstream:
            body = data if isinstance(data, bytes) else orjson.dumps(data)
            await jetstream.publish(subject, body, headers=headers)


def _stored(message: Any) -> Stored:
    headers = dict(message.headers)
    return Stored(headers["Nats-Msg-Id"], message.subject, headers, orjson.loads(message.data))


@contextmanager
def nats_cluster(directory: Path, size: int = 3) -> Generator[dict[str, NatsServer]]:
    """Servers by name, each a process of its own, that hold the replicas of a stream together."""
    servers = {f"nats-{number}": NatsServer(directory / str(number)) for number in range(size)}
    ports = {name: free_port() for name in servers}
    routes = [f"nats://127.0.0.1:{port}" for port in ports.values()]
    with ExitStack() as stack:
        for name, server in servers.items():
            cluster = {"name": "test", "listen": f"127.0.0.1:{ports[name]}", "routes": routes}
            stack.enter_context(server.started(server_name=name, cluster=cluster))
        yield servers
