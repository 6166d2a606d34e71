"""`hoc serve`: a database, its schema, NATS, and uvicorn in front of them, until it is told to stop."""

import os
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import typer
import uvicorn
from starlette.routing import BaseRoute
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from hoc.cli.listening import Address, answers, bound, listen, resolve
from hoc.cli.migrate import migrate_database, say
from hoc.cli.problems import CommandError
from hoc.cli.running import (
    configured_database,
    configured_nats,
    hoc_command,
    is_development,
    load_settings,
)
from hoc.embedded import (
    DataDirectory,
    DataDirectoryError,
    EmbeddedNats,
    EmbeddedPostgres,
    EmbeddedServiceError,
    ServerState,
)
from hoc.settings import Settings
from hoc.telemetry.workers import metrics_shared_by_workers

_GRACE_SECONDS: Final = 20
_POLL_SECONDS: Final = 1.0
_READY_POLL_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 10.0


def serve(*, host: str, port: int, workers: int, data: DataDirectory) -> None:
    """Serve until SIGTERM or SIGINT, then return with everything stopped.

    Raises:
        CommandError, DataDirectoryError, EmbeddedServiceError: it cannot be done as asked.
    """
    settings = load_settings()
    address = resolve(host, port)
    development = is_development(settings)
    if development and not address.is_loopback:
        raise CommandError(_beyond_loopback(settings, host))
    stopping = _stop_signals()
    with data.lock(), bound(address) as (listener, address):
        try:
            with (
                _service("NATS", configured_nats(settings), EmbeddedNats(data, say)) as nats_url,
                _service("PostgreSQL", configured_database(settings), EmbeddedPostgres(data, say)) as url,
            ):
                migrate_database(url)
                _configure(settings, data, url, nats_url, address, development=development)
                state = ServerState(address.url, database_url=url, nats_url=nats_url, pid=os.getpid())
                if not stopping.is_set():
                    _run(listener, address, workers, lambda: _announce(data, state, stopping))
                    say("Stopping")
        except EmbeddedServiceError:
            if not stopping.is_set():  # Ctrl-C reaches the programs that set PostgreSQL up, too
                raise
        finally:
            data.remove_server()


def _beyond_loopback(settings: Settings, host: str) -> str:
    if settings.development:
        return f"--host {host}: with HOC_DEVELOPMENT=true the server listens on loopback only."
    return (
        f"--host {host}: without caller authentication the server listens on loopback only; "
        "set HOC_JWT_… or HOC_GATEWAY_SECRET, or HOC_DEVELOPMENT=false to let nobody in."
    )


def _stop_signals() -> Event:
    """Note a signal to stop instead of dying of it, so that nothing is left running behind."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    # A closed terminal. Passed on, because it is uvicorn's handler that stops uvicorn.
    signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
    return stopping


@contextmanager
def _service(name: str, configured: str | None, embedded: EmbeddedPostgres | EmbeddedNats) -> Generator[str]:
    """Give the configured URL; without one, that of the embedded service, which runs until the block ends."""
    if configured is not None:
        yield configured
        return
    with embedded:
        url = embedded.start()
        with _beside(lambda ended: _keep_running(name, embedded, url, ended)):
            yield url


@contextmanager
def _beside(work: Callable[[Event], None]) -> Generator[None]:
    """Run `work` in a thread beside the block, whose end it is told by the event it is given."""
    ended = Event()
    thread = Thread(target=work, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _keep_running(name: str, embedded: EmbeddedPostgres | EmbeddedNats, url: str, ended: Event) -> None:
    """Bring the service back when it dies."""
    pause = _POLL_SECONDS
    while not ended.wait(pause):
        pause = _POLL_SECONDS
        if embedded.is_running():
            continue
        say(f"{name} has died")
        try:
            moved = embedded.start() != url
        except (EmbeddedServiceError, DataDirectoryError) as problem:
            say(str(problem))
            pause = _RETRY_SECONDS
            continue
        if moved:
            say(f"{name}'s port was taken meanwhile; start this server again.")
            os.kill(os.getpid(), signal.SIGTERM)


def _configure(
    settings: Settings, data: DataDirectory, url: str, nats_url: str, address: Address, *, development: bool
) -> None:
    """Leave what was decided in the environment, where the application of every process reads it."""
    os.environ["HOC_DATABASE_URL"] = url
    os.environ["HOC_NATS_URL"] = nats_url
    if configured_nats(settings) is None:
        os.environ.setdefault("HOC_NATS_INBOUND_STREAM", "BILLING")
    os.environ["HOC_DATA_DIR"] = str(data.path)
    os.environ["HOC_DEVELOPMENT"] = str(development).lower()
    if "public_url" not in settings.model_fields_set:
        os.environ["HOC_PUBLIC_URL"] = address.url


def _run(listener: socket.socket, address: Address, workers: int, ready: Callable[[], None]) -> None:
    """Run uvicorn until a signal ends it; `ready` is called once requests are answered."""
    # Loaded here, because they may look at the environment.
    from hoc.asgi import create_app  # noqa: PLC0415 - see above
    from hoc.telemetry.logs import logging_config  # noqa: PLC0415 - see above

    try:
        app = create_app()  # in each case, so that a bad setting is one line and not one per process
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    in_consul = _registered(address, app.routes)
    config = uvicorn.Config(
        app if workers == 1 else "hoc.cli.worker:create_app",
        factory=workers > 1,
        workers=workers,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=logging_config(load_settings().log_format),
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listen(listener, address)
    with _beside(lambda ended: _when_it_answers(address, ready, ended)), _beside(in_consul):
        if workers == 1:
            _run_here(config, listener)
        else:
            _run_workers(config, listener)


def _registered(address: Address, routes: Sequence[BaseRoute]) -> Callable[[Event], None]:
    """Return what keeps the server registered with Consul, if it is to be, from its first answer on."""
    settings = load_settings()
    if not settings.consul_url:
        return lambda _ended: None
    from hoc.cli.consul import Registration  # noqa: PLC0415 - few servers need the client

    registration = Registration(settings, address, routes)
    return lambda ended: _when_it_answers(address, lambda: registration.keep(ended), ended)


def _run_here(config: uvicorn.Config, listener: socket.socket) -> None:
    server = uvicorn.Server(config)
    try:
        server.run([listener])
    except SystemExit:
        raise _not_started() from None


def _run_workers(config: uvicorn.Config, listener: socket.socket) -> None:
    supervisor = Multiprocess(config, [listener])
    with metrics_shared_by_workers():
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise _not_started()


def _not_started() -> CommandError:
    return CommandError("The server did not start; the lines above say why.")


def _when_it_answers(address: Address, ready: Callable[[], None], ended: Event) -> None:
    while not ended.wait(_READY_POLL_SECONDS):
        if answers(address):
            ready()
            return


def _announce(data: DataDirectory, state: ServerState, stopping: Event) -> None:
    data.write_server(state)
    settings = load_settings()
    typer.echo(f"\nhoc serves on {state.http}{settings.mount_path.rstrip('/')}\n{_who_calls(settings)}")
    typer.echo(f"\nIs it ready?\n\n  curl -s {state.http}/health/ready")
    if settings.development:
        typer.echo("\nA tenant to try it with, and a curl line that lists its users:")
        typer.echo(f"\n  {hoc_command('demo', data)}")
    typer.echo("\nCtrl-C stops it.")
    if stopping.is_set():  # told to stop before uvicorn's handler was there to hear it
        os.kill(os.getpid(), signal.SIGTERM)


def _who_calls(settings: Settings) -> str:
    if settings.development:
        return "Development mode: it accepts tokens that `hoc demo` and `hoc token` print."
    if settings.authenticates_callers:
        return "Callers are authenticated as configured."
    return "No caller authentication is configured: it lets nobody in."
