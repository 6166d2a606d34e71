"""Requests leave nothing that only Python's garbage collector could free: a server rarely runs it."""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from support.console import Console, raw

REQUESTS = 100
ROUNDS = 3  # a connection that ends leaves garbage once, a request that leaves some does in each round


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/profile", b"", 200),
        ("GET", "/users", b"", 200),
        ("GET", "/users?limit=none", b"", 400),
        ("GET", "/users/nobody", b"", 404),
        ("PUT", "/profile", b'{"display_name": "New"}', 200),
        ("PUT", "/profile", b'{"display_name": ', 400),
        ("POST", "/users/invite", b'{"email": "invited@example.com", "role": "member"}', 409),
        ("DELETE", "/users", b"", 405),
    ],
)
async def test_a_request_leaves_no_garbage(
    console: Console, method: str, path: str, body: bytes, status: int
) -> None:
    tenant_id, owner = await console.tenant()
    path, _, query = path.partition("?")
    headers = console.as_(owner, tenant_id) | {"content-type": "application/json"}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in raw(headers)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def ask() -> None:
        await console.served.console_app(dict(scope), receive, send)

    await ask()
    left = [await garbage_of(ask) for _ in range(ROUNDS)]
    assert statuses[1:] == [status] * (ROUNDS * REQUESTS)
    least = min(left, key=lambda garbage: garbage.total())
    assert least.total() < REQUESTS, least.most_common(5)


async def garbage_of(ask: Callable[[], Awaitable[None]]) -> Counter[str]:
    """The types of the objects that a round of requests leaves to the collector."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(REQUESTS):
            await ask()
        gc.collect()
        return Counter(type(garbage).__qualname__ for garbage in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
