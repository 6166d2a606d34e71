"""`hoc serve`: starts PostgreSQL and NATS if needed, migrates, and runs uvicorn."""

import os
import resource
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

from hoc.cli.configuration import (
    Target,
    check_application,
    check_nats,
    configured_target,
    hoc_command,
    is_development,
    load_settings,
    reveal,
)
from hoc.cli.errors import CommandError, OutputError
from hoc.cli.listening import Address, answers, bound, listen, resolve
from hoc.cli.migrate import migrate_database
from hoc.cli.progress import print_step
from hoc.cli.supervisor import Supervisor
from hoc.embedded import (
    DataDirectory,
    DataDirectoryError,
    EmbeddedNats,
    EmbeddedPostgres,
    EmbeddedService,
    EmbeddedServiceError,
    ServerState,
)
from hoc.server.hooks import load_hooks
from hoc.settings import Settings
from hoc.telemetry.workers import metrics_shared_by_workers

_GRACE_SECONDS: Final = 20
_OTHER_FILES: Final = 80  # of a process, besides clients' connections and the pool's (measured: about 40)
_POLL_SECONDS: Final = 1.0
_READY_POLL_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 10.0


def serve(
    *,
    host: str,
    port: int,
    workers: int,
    data: DataDirectory,
    migrate: bool = True,
    embedded: bool = False,
    hooks: str | None = None,
    demo: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; return when everything has stopped.

    Raises:
        CommandError, DataDirectoryError, EmbeddedServiceError: the server cannot start.
    """
    if hooks is not None:
        os.environ["HOC_HOOKS"] = hooks
    settings = load_settings()
    try:
        load_hooks(settings.hooks)  # before anything is started or migrated
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    address = resolve(host, port)
    development = is_development(settings)
    if development and not address.is_loopback:
        raise CommandError(_beyond_loopback(settings, host))
    if settings.authenticates_callers and not (reveal(settings.database_url) or embedded):
        raise CommandError(
            "Caller authentication is configured, but HOC_DATABASE_URL is not set. Set it, or use the"
            " embedded PostgreSQL with --embedded."
        )
    stopping = _stop_signals()
    needs_data = _needs_data(settings, development=development)
    with _locked(data, needed=needs_data) as locked, bound(address) as (listener, address):
        check_application(settings)
        check_nats(settings)
        try:
            with (
                _service("NATS", reveal(settings.nats_url), EmbeddedNats(data, print_step)) as nats_url,
                _service(
                    "PostgreSQL", reveal(settings.database_url), EmbeddedPostgres(data, print_step)
                ) as url,
            ):
                if migrate:
                    migrate_database(configured_target(settings) or Target(url))
                _configure(settings, data, url, nats_url, address, development=development)
                state = ServerState(address.url, database_url=url, nats_url=nats_url, pid=os.getpid())
                if not stopping.is_set():
                    _run(
                        listener,
                        address,
                        workers,
                        lambda: _announce(locked, state, stopping, demo=demo),
                    )
                    print_step("Stopping")
        except EmbeddedServiceError:
            if not stopping.is_set():  # Ctrl-C also reaches the programs that set up PostgreSQL
                raise
        finally:
            if locked is not None:
                locked.remove_server()


def _needs_data(settings: Settings, *, development: bool) -> bool:
    """Whether something is written to the data directory: an embedded server, keys, mail."""
    outside = (settings.database_url, settings.nats_url, settings.smtp_url)
    return development or not all(map(reveal, outside))


@contextmanager
def _locked(data: DataDirectory, *, needed: bool) -> Generator[DataDirectory | None]:
    """Lock the data directory and give it. Gives None if it cannot be written, and is not needed either."""
    try:
        data.create()
    except DataDirectoryError:
        if needed:
            raise
        yield None
        return
    with data.lock():
        yield data


def _beyond_loopback(settings: Settings, host: str) -> str:
    if settings.development:
        return f"--host {host}: with HOC_DEVELOPMENT=true the server listens on loopback only."
    return (
        f"--host {host}: without caller authentication the server listens on loopback only; "
        "set HOC_JWT_… or HOC_GATEWAY_SECRET, or HOC_DEVELOPMENT=false to reject all callers."
    )


def _stop_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set. By default they would leave the services running."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    # SIGHUP comes when the terminal closes. It is passed on as SIGTERM, which uvicorn handles.
    signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
    return stopping


@contextmanager
def _service(name: str, configured: str | None, embedded: EmbeddedService) -> Generator[str]:
    """Give the configured URL, else that of the embedded service, which runs during the block."""
    if configured is not None:
        yield configured
        return
    with embedded:
        url = embedded.start()
        with _in_thread(lambda ended: _keep_running(name, embedded, url, ended)):
            yield url


@contextmanager
def _in_thread(work: Callable[[Event], None]) -> Generator[Event]:
    """Run `work` in a thread during the block. The block's end sets the event and waits for the thread."""
    ended = Event()
    thread = Thread(target=work, args=(ended,))
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join()


def _keep_running(name: str, embedded: EmbeddedService, url: str, ended: Event) -> None:
    """Restart the service whenever it dies."""
    pause = _POLL_SECONDS
    while not ended.wait(pause):
        pause = _POLL_SECONDS
        if embedded.is_running():
            continue
        print_step(f"{name} has died")
        try:
            moved = embedded.start() != url
        except (EmbeddedServiceError, DataDirectoryError) as problem:
            print_step(str(problem))
            pause = _RETRY_SECONDS
            continue
        if moved:
            print_step(f"Another program has taken {name}'s port; start this server again.")
            os.kill(os.getpid(), signal.SIGTERM)


def _configure(
    settings: Settings, data: DataDirectory, url: str, nats_url: str, address: Address, *, development: bool
) -> None:
    """Put the decisions into the environment, from which the application in every process reads them."""
    os.environ["HOC_DATABASE_URL"] = url
    os.environ["HOC_NATS_URL"] = nats_url
    if reveal(settings.nats_url) is None:
        os.environ.setdefault("HOC_NATS_INBOUND_STREAM", "BILLING")
    os.environ["HOC_DATA_DIR"] = str(data.path)
    os.environ["HOC_DEVELOPMENT"] = str(development).lower()
    if "public_url" not in settings.model_fields_set:
        os.environ["HOC_PUBLIC_URL"] = address.url


def _run(listener: socket.socket, address: Address, workers: int, ready: Callable[[], None]) -> None:
    """Run uvicorn until a signal stops it. Calls `ready` once the server answers requests."""
    # Imported here, because they may read the environment.
    from hoc.server import create_app  # noqa: PLC0415 - see above
    from hoc.server.protocol import Limits, bounded_by  # noqa: PLC0415 - see above
    from hoc.telemetry.logs import logging_config  # noqa: PLC0415 - see above

    try:
        app = create_app()  # also for several workers, so that a wrong setting is reported once
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    keep_registered = _registration(address, app.routes)
    settings = load_settings()
    config = uvicorn.Config(
        app if workers == 1 else "hoc.cli.worker:create_app",
        factory=workers > 1,
        workers=workers,
        loop="uvloop",
        http=bounded_by(Limits(connections=_connections(settings))),
        lifespan="on",
        server_header=False,
        proxy_headers=settings.trusted_proxies is not None,
        forwarded_allow_ips=settings.trusted_proxies or "",
        access_log=False,
        log_config=logging_config(settings.log_format),
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listen(listener, address)
    with (
        _in_thread(lambda ended: _once_it_answers(address, ready, ended)),
        _in_thread(keep_registered) as leaving,
    ):
        if workers == 1:
            app.stopping.listener, app.stopping.on_begin = listener, leaving.set
            _run_here(config, listener)
        else:
            _run_workers(Supervisor(config, listener, settings.drain_seconds_or_default, leaving.set))


def _connections(settings: Settings) -> int:
    """How many connections of clients a process may have: its limit of open files bounds them, too."""
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if open_files == resource.RLIM_INFINITY:
        return settings.max_connections
    return max(1, min(settings.max_connections, open_files - _OTHER_FILES - settings.pool_size))


def _registration(address: Address, routes: Sequence[BaseRoute]) -> Callable[[Event], None]:
    """Return work that keeps the server registered with Consul; without HOC_CONSUL_URL it does nothing."""
    settings = load_settings()
    if not settings.consul_url:
        return lambda _ended: None
    from hoc.cli.consul import Registration  # noqa: PLC0415 - few servers need the client

    registration = Registration(settings, address, routes)
    return lambda ended: _once_it_answers(address, lambda: registration.keep(ended), ended)


def _run_here(config: uvicorn.Config, listener: socket.socket) -> None:
    server = uvicorn.Server(config)
    try:
        server.run([listener])
    except SystemExit:
        raise _not_started() from None


def _run_workers(supervisor: Supervisor) -> None:
    with metrics_shared_by_workers():
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise _not_started()


def _not_started() -> CommandError:
    return CommandError("The server did not start; the lines above say why.")


def _once_it_answers(address: Address, ready: Callable[[], None], ended: Event) -> None:
    while not ended.wait(_READY_POLL_SECONDS):
        if answers(address):
            ready()
            return


def _announce(data: DataDirectory | None, state: ServerState, stopping: Event, *, demo: bool) -> None:
    """Print where the server is, and publish it in the data directory if there is one."""
    if data is not None:
        data.write_server(state)
    try:
        _welcome(data, state, demo=demo)
    except OutputError as problem:
        print_step(str(problem))  # it serves all the same
    if stopping.is_set():  # the signal came before uvicorn had installed its handler
        os.kill(os.getpid(), signal.SIGTERM)


def _welcome(data: DataDirectory | None, state: ServerState, *, demo: bool) -> None:
    settings = load_settings()
    url = f"{state.http}{settings.mount_path.rstrip('/')}"
    typer.echo(f"\nhoc serves on {url}\n{_caller_authentication(settings)}")
    typer.echo(f"\nIs it ready?\n\n  curl -s {state.http}/health/ready")
    link = _link(data, demo=demo) if settings.development and data is not None else None
    if link is not None:
        typer.echo(
            f"\nLook at it in a browser (the link signs in once, as a demo tenant's owner):\n\n  {link}"
        )
    elif settings.development and data is not None:
        typer.echo("\nCreate a tenant to try it with, and print a curl line that lists its users:")
        typer.echo(f"\n  {hoc_command('demo', data)}")
    typer.echo("\nCtrl-C stops it.")


def _link(data: DataDirectory, *, demo: bool) -> str | None:
    """A link to the pages as the owner of the latest demo tenant; with `demo`, a tenant is made for it."""
    from hoc.cli.demo import create  # noqa: PLC0415 - few servers need it
    from hoc.cli.development import development_keys  # noqa: PLC0415 - see above
    from hoc.cli.sign_in import latest_demo, owner_link  # noqa: PLC0415 - see above

    if demo and latest_demo(data) is None:
        create(data)
    found = latest_demo(data)
    return None if found is None else owner_link(data, development_keys(data), *found)


def _caller_authentication(settings: Settings) -> str:
    if settings.development:
        return "Development mode: it accepts the tokens that `hoc demo` and `hoc token` print."
    if settings.authenticates_callers:
        return "Callers are authenticated as configured."
    return "No caller authentication is configured: it rejects all callers."
