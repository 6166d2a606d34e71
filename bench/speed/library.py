"""The facade in its caller's process: the cost of importing it, and of a read compared with its statement."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any

from filling import CROWD
from report import Report, at_most
from scene import Scene
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncSession

from hoc.cus.account.L5_engines.accounts_facade import get_accounts_facade
from hoc.cus.account.L6_drivers import members, profiles
from hoc.database import create_engine

CALLS = 50  # of each in a row
_FACADE = "hoc.cus.account.L5_engines.accounts_facade"

# Prints the names of the third-party modules that the facade loads, in order.
_NEEDED = f"""
import json, sys
before = set(sys.modules)
import {_FACADE}
{{load}}
print(json.dumps([name for name in sys.modules if name not in before and name.partition(".")[0] != "hoc"]))
"""
_CPU = f"""
import importlib, json, sys, time
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # a module that another one creates
began = time.process_time()
import {_FACADE}
{{load}}
print(time.process_time() - began)
"""
_LOAD = f"{_FACADE}.get_accounts_facade()"


def measure(scene: Scene, report: Report) -> None:
    _imports(scene, report)
    url = scene.some_accounts
    asyncio.run(_reads(scene, report, url, scene.owner(url)))


def _imports(scene: Scene, report: Report) -> None:
    for name, load in (("importing the facade", ""), ("importing and getting it", _LOAD)):
        needed = _python(_NEEDED.format(load=load))
        seconds = [float(_python(_CPU.format(load=load), needed)) for _ in range(scene.options.rounds)]
        report.add(
            f"CPU of {name}, beyond its dependencies'",
            median(seconds) * 1_000,
            "ms",
            goal=None if load else at_most(150),
            detail=f"{len(json.loads(needed))} modules of dependencies",
        )


def _python(program: str, given: str = "") -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60).stdout


async def _reads(scene: Scene, report: Report, url: str, user_id: str) -> None:
    facade = get_accounts_facade()
    engine = create_engine(url)
    async with AsyncSession(engine) as session:
        one = {"given_tenant_id": CROWD, "given_user_id": user_id}
        many = {"given_tenant_id": CROWD, "given_row_limit": 51, "given_row_offset": 0}

        async def core(statement: Executable, values: Mapping[str, Any]) -> object:
            return (await session.execute(statement, values)).all()

        page = members.PAGES[False, True].by_offset
        pairs: dict[str, tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]] = {
            "get_profile": (
                lambda: facade.get_profile(session, CROWD, user_id),
                lambda: core(profiles.FIND, one),
            ),
            "get_user_detail": (
                lambda: facade.get_user_detail(session, CROWD, user_id),
                lambda: core(members.FIND, one),
            ),
            "list_users": (lambda: facade.list_users(session, CROWD), lambda: core(page, many)),
        }
        for name, (through_facade, through_core) in pairs.items():
            times = [
                (await _seconds(through_facade), await _seconds(through_core))
                for _ in range(max(2, round(scene.options.rounds * scene.options.seconds)))
            ][1:]
            report.add(
                f"{name}: facade / its statement by Core",
                median(facade_time / core_time for facade_time, core_time in times),
                "x",
                goal=at_most(1.5),
                detail=f"{median(a for a, _ in times) * 1e6:,.0f} and"
                f" {median(b for _, b in times) * 1e6:,.0f} microseconds",
            )
    await engine.dispose()


async def _seconds(call: Callable[[], Awaitable[object]]) -> float:
    """Return the average seconds of a call."""
    began = time.perf_counter()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter() - began) / CALLS
