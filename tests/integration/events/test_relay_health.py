"""A relay without the routes of accounts has health and metrics of its own."""

import socket

import httpx
from support.relays import Site
from support.waiting import until

from hoc.asgi import Accounts
from hoc.server.relay import observable
from hoc.settings import Settings
from hoc.telemetry.metrics import EventMetrics

TOKEN = "0123456789abcdef"


async def test_a_relay_serves_its_health_and_metrics(site: Site) -> None:
    metrics = EventMetrics()
    settings = Settings(database_url=site.url, nats_url=site.nats.url, send_mail=False)
    accounts = Accounts(settings, observer=metrics)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            accounts.readiness.running(),
            accounts.events.running(),
            observable(listener, accounts, metrics, token=TOKEN),
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
        ):

            async def is_connected() -> bool:
                answer = await client.get("/health/detailed")
                return answer.status_code == 200 and answer.json()["nats_connected"]

            await until(is_connected)
            assert "hoc_inbound_messages_total" in (await client.get("/metrics")).text
            assert (await client.get("/health/live", headers={"Authorization": ""})).status_code == 200
            assert (await client.get("/metrics", headers={"Authorization": ""})).status_code == 401
    await accounts.database.close()
