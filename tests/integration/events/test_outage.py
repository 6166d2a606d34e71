"""While NATS is gone, hangs or refuses events, writers do not wait and no event is lost."""

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.outage import Proxy
from support.relays import Site, in_place_and_taken_out, publish_all, run_once
from support.servers import ServerProcess, development_keys, server_process
from support.waiting import until

from hoc.events.sending import Sent


def settle_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out that the cursor stays before an unacknowledged event."""

    def settles(_sent: Sent, _event: object) -> bool:
        return True

    monkeypatch.setattr(Sent, "settles", settles)


@pytest.fixture
async def proxy(site: Site) -> AsyncGenerator[Proxy]:
    proxy = Proxy("127.0.0.1", site.nats.port)
    await proxy.connect()
    yield proxy
    await proxy.cut()


@in_place_and_taken_out
async def test_an_unacknowledged_event_is_sent_again(
    site: Site, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    monkeypatch.setattr("hoc.events.nats.PUBLISH_SECONDS", 0.2)
    user = await site.world.add_user()
    async with site.relay(nats_url=f"nats://127.0.0.1:{proxy.port}") as relay:
        await publish_all(site, relay)
        if taken_out:
            settle_whatever_happens(monkeypatch)
        await site.rename(user, "one", "two")
        site.nats.pause()
        await run_once(relay)
        assert (await site.status()).unpublished == (0 if taken_out else 2)
        # The messages that were sent during the pause never reach the server.
        await proxy.cut()
        site.nats.stop()
        site.nats.start()
        await proxy.connect()
        async with relay.running():
            await site.until_published()
    assert await site.names() == ([] if taken_out else [(user, "one"), (user, "two")])


async def test_a_lost_acknowledgement_makes_no_second_message(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoc.events.nats.PUBLISH_SECONDS", 0.2)
    user = await site.world.add_user()
    async with site.relay() as relay:
        await publish_all(site, relay)
        await site.rename(user, "one", "two")
        site.nats.pause()
        await run_once(relay)
        assert (await site.status()).unpublished == 2
        site.nats.resume()
        await run_once(relay)
    assert await site.names() == [(user, "one"), (user, "two")]
    assert (await site.status()).unpublished == 0


@in_place_and_taken_out
async def test_a_deleted_stream_is_created_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    user = await site.world.add_user()
    async with site.relay() as relay:
        await run_once(relay)
        async with site.nats.jetstream() as jetstream:
            await jetstream.delete_stream("ACCOUNTS")
        if taken_out:
            settle_whatever_happens(monkeypatch)
        await site.rename(user, "one", "two")
        await run_once(relay)
        assert await site.names() == []
        assert (await site.status()).unpublished == (0 if taken_out else 2)
        await run_once(relay)
    assert await site.names() == ([] if taken_out else [(user, "one"), (user, "two")])


@in_place_and_taken_out
async def test_events_wait_for_room_in_the_stream(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    user = await site.world.add_user()
    async with site.nats.jetstream() as jetstream, site.relay() as relay:
        full: dict[str, Any] = {"name": "ACCOUNTS", "subjects": ["user.*"], "discard": "new"}
        await jetstream.add_stream(**full, max_msgs=1)
        if taken_out:
            settle_whatever_happens(monkeypatch)
        await site.rename(user, "one", "two")
        await run_once(relay)
        await run_once(relay)
        assert await site.names() == []
        assert (await site.status()).unpublished == (0 if taken_out else 2)
        assert (await site.status()).dead == 0, "the stream is the cause, not the events"
        info = await jetstream.stream_info("ACCOUNTS")
        info.config.max_msgs = -1
        await jetstream.update_stream(info.config)
        await run_once(relay)
    assert await site.names() == ([] if taken_out else [(user, "one"), (user, "two")])


async def test_a_foreign_stream_with_the_subjects_gets_no_event(site: Site) -> None:
    """The events wait until that stream is gone, and then reach hoc's own."""
    user = await site.world.add_user()
    async with site.nats.jetstream() as jetstream, site.relay() as relay:
        await jetstream.add_stream(name="OTHERS", subjects=["user.>"])
        await site.rename(user, "one")
        await run_once(relay)
        assert await site.nats.count("OTHERS") == 0
        assert (await site.status()).unpublished == 2
        await jetstream.delete_stream("OTHERS")
        await run_once(relay)
    assert await site.names() == [(user, "one")]


class Service:
    """A server, called with all rights."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def add_account(self) -> str:
        user_id = uuid.uuid4().hex
        body = {"user_id": user_id, "email": f"{user_id}@example.com", "name": "Ada"}
        answer = await self._client.post("/api/v1/accounts/ensure", json=body)
        assert answer.status_code == 201, answer.text
        return user_id

    async def until_health(self, is_expected: Callable[[dict[str, Any]], bool]) -> None:
        async def is_so() -> bool:
            answer = await self._client.get("/health/detailed")
            return answer.status_code == 200 and is_expected(answer.json())

        await until(is_so)


@asynccontextmanager
async def calling(server: ServerProcess, directory: Path) -> AsyncGenerator[Service]:
    token = development_keys(directory).issue("service", scopes=["accounts:admin"])
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        yield Service(client)


async def test_writing_does_not_wait_for_nats_and_the_backlog_drains(site: Site, tmp_path: Path) -> None:
    """NATS is missing from the start, then hangs, then is killed."""
    site.nats.stop()
    added: list[str] = []

    async def is_all_published() -> bool:
        return sorted(message.data["user_id"] for message in await site.nats.stored()) == sorted(added)

    with server_process(site.url, tmp_path / "data", nats_url=site.nats.url) as server:
        async with calling(server, tmp_path / "data") as service:
            added += [await service.add_account() for _ in range(3)]
            await service.until_health(lambda so: so["events_unpublished"] == 3 and not so["nats_connected"])
            site.nats.start()
            await until(is_all_published)
            await service.until_health(lambda so: so["events_unpublished"] == 0 and so["nats_connected"])
            site.nats.pause()
            added += [await service.add_account() for _ in range(3)]
            await service.until_health(lambda so: so["events_unpublished"] == 3)
            site.nats.stop()
            added += [await service.add_account() for _ in range(3)]
            await service.until_health(lambda so: so["events_unpublished"] == 6 and not so["nats_connected"])
            site.nats.start()
            await until(is_all_published)
            await service.until_health(lambda so: so["events_unpublished"] == 0 and so["nats_connected"])
