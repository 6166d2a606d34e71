"""Identical reads at the same time are made once, and each sees every earlier write."""

import asyncio

from hoc.concurrency.single_flight import SingleFlight


async def settle() -> None:
    """Run every task until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


class Page:
    """A list whose reads each wait until the test lets them return."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.answers: list[asyncio.Future[None]] = []
        self.shared: SingleFlight[list[str]] = SingleFlight()

    async def read(self) -> list[str]:
        found = list(self.rows)
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return found

    async def ask(self, count: int = 1, key: str = "page") -> list[asyncio.Task[list[str]]]:
        """Begin equal reads, and run them until they wait."""
        reads = [asyncio.create_task(self.shared.get(key, self.read)) for _ in range(count)]
        await settle()
        return reads


async def test_equal_reads_at_the_same_time_are_made_once() -> None:
    page = Page()
    reads = await page.ask(3)
    other = await page.ask(key="other page")
    assert len(page.answers) == 2
    for answer in page.answers:
        answer.set_result(None)
    assert await asyncio.gather(*reads, *other) == [[]] * 4


async def test_a_read_sees_every_earlier_write() -> None:
    page = Page()
    early = await page.ask()
    page.rows.append("new")
    late = await page.ask(2)
    assert len(page.answers) == 1, "late reads share the next one"
    page.answers[0].set_result(None)
    await settle()
    page.answers[1].set_result(None)
    assert await asyncio.gather(*early, *late) == [[], ["new"], ["new"]]


async def test_an_error_reaches_every_equal_read_and_no_later_one() -> None:
    page = Page()
    problem = ValueError("broken")
    reads = await page.ask(2)
    page.answers[0].set_exception(problem)
    assert await asyncio.gather(*reads, return_exceptions=True) == [problem] * 2
    [later] = await page.ask()
    page.answers[1].set_result(None)
    assert await later == []


async def test_a_cancelled_caller_harms_no_other() -> None:
    page = Page()
    gone, stays = await page.ask(2)
    gone.cancel()
    await settle()
    assert gone.cancelled()
    page.answers[0].set_result(None)
    assert await stays == []
