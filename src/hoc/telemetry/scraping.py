"""GET /metrics."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.database import Database, Replica
from hoc.telemetry.metrics import (
    MULTIPROCESS,
    POOL_CHECKED_OUT,
    POOL_SIZE,
    REGISTRY,
    REPLICA_IN_USE,
    REPLICA_LAG_SECONDS,
    observe_request,
)
from hoc.telemetry.requests import Observer

Collect = Callable[[], Awaitable[object]]
"""Sets gauges to current values, before each scrape."""

_COLLECT_SECONDS: Final = 2

_log = logging.getLogger("hoc.metrics")

# They would add a series per label set, and say little more than the start time of the process.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types


class MetricsEndpoint:
    """Serves /metrics. Calls every ``collect`` first; if one fails, the other metrics are served anyway."""

    def __init__(
        self, database: Database, collect: Sequence[Collect] = (), replica: Replica | None = None
    ) -> None:
        self._database = database
        self._collect = collect
        self._replica = replica
        self._read_pool()

    def routes(self) -> list[Route]:
        return [Route("/metrics", self.scrape)]

    def observers(self) -> list[Observer]:
        """Return the observers that must see every request."""
        # Each worker records its pool, because a scrape reaches one worker, which cannot read the others'
        # pools.
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
        if self._replica is not None:
            status = self._replica.status
            REPLICA_LAG_SECONDS.set(status.lag_seconds)
            REPLICA_IN_USE.set(status.is_read)


async def _collected(collect: Collect) -> None:
    try:
        async with asyncio.timeout(_COLLECT_SECONDS):
            await collect()
    except (UnavailableError, TimeoutError):
        _log.warning("/metrics shows the last known values: the database is unavailable")
    except Exception:  # noqa: BLE001 - the other metrics are served after any exception
        _log.exception("/metrics shows the last known values: collecting failed")


def _registry() -> CollectorRegistry:
    if not MULTIPROCESS:
        return REGISTRY
    directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]  # it has no types
    registry.register(_Processes(list(_live_pids(directory))))
    return registry


def _live_pids(directory: Path) -> Iterator[int]:
    """The live processes that write metrics to the directory. Removes the gauges of ended ones."""
    import psutil  # noqa: PLC0415 - only several workers need it, which only hoc-accounts[server] runs

    for pid in {int(path.stem.rpartition("_")[2]) for path in directory.glob("*.db")}:
        if psutil.pid_exists(pid):
            yield pid
            continue
        for gauges in directory.glob(f"gauge_live*_{pid}.db"):
            gauges.unlink(missing_ok=True)  # another worker may have removed it


class _Processes(Collector):
    """The client's metrics of its own process, for each of several processes."""

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
