"""GET /metrics: what was counted, and what can be looked up at that moment."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.database import Database
from hoc.telemetry.metrics import MULTIPROCESS, POOL_CHECKED_OUT, POOL_SIZE, REGISTRY, observe_request
from hoc.telemetry.requests import Observer

Collect = Callable[[], Awaitable[object]]
"""Looks something up and sets its gauges."""

_PATIENCE_SECONDS: Final = 2

_log = logging.getLogger("hoc.metrics")

# One more series per label set, of which the start of the process says as much.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types


class MetricsEndpoint:
    """Answers scrapes. Before each it calls every ``collect``; one that fails keeps the rest from nobody."""

    def __init__(self, database: Database, collect: Sequence[Collect] = ()) -> None:
        self._database = database
        self._collect = collect
        self._read_pool()

    def routes(self) -> list[Route]:
        return [Route("/metrics", self.scrape)]

    def observers(self) -> list[Observer]:
        """Who must be told of every request."""
        # A scrape reaches one worker, which cannot read the pools of the others.
        return [observe_request, self._observe_pool] if MULTIPROCESS else [observe_request]

    async def scrape(self, request: Request) -> Response:
        self._read_pool()
        await asyncio.gather(*(_collected(collect) for collect in self._collect))
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        body = await asyncio.to_thread(lambda: encode(_registry()))
        return Response(body, headers={"Content-Type": media_type})

    def _observe_pool(self, _method: str, _route: str, _status: int, _seconds: float) -> None:
        self._read_pool()

    def _read_pool(self) -> None:
        pool = self._database.engine.pool
        if isinstance(pool, QueuePool):
            POOL_SIZE.set(pool.size())
            POOL_CHECKED_OUT.set(pool.checkedout())


async def _collected(collect: Collect) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await collect()
    except (UnavailableError, TimeoutError):
        _log.warning("a scrape shows what was last known: the database is unavailable")
    except Exception:  # noqa: BLE001 - whatever it was, the other metrics can be told
        _log.exception("a scrape shows what was last known: looking it up failed")


def _registry() -> CollectorRegistry:
    if not MULTIPROCESS:
        return REGISTRY
    directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]  # it has no types
    registry.register(_Processes(list(_living(directory))))
    return registry


def _living(directory: Path) -> Iterator[int]:
    """The processes that count in a directory; the gauges of those that are gone are removed."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in directory.glob("*.db")}:
        if psutil.pid_exists(pid):
            yield pid
            continue
        for gauges in directory.glob(f"gauge_live*_{pid}.db"):
            gauges.unlink(missing_ok=True)  # another worker may be faster


class _Processes(Collector):
    """What the client tells of the process it is in, of each of several."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids

    def collect(self) -> list[Metric]:
        found: dict[str, Metric] = {}
        for pid in self._pids:
            for metric in _process(pid):
                family = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        return list(found.values())


def _process(pid: int) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: pid, registry=None).collect()
