"""What a hook costs: the same operation without hooks, with a hook of another type, and with its own."""

import argparse
import asyncio
import time
import uuid
from statistics import median
from typing import Final

from embedded import embedded_postgres

from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.cus.account.wiring import create_account_service, open_database
from hoc.migrations import migrate

AT_ONCE: Final = 8
BATCH: Final = 200


async def hook(_session: object, _event: object) -> None:
    """It does nothing, so that only hoc's own work is measured."""


async def create(service: AccountService, count: int) -> None:
    for _ in range(count):
        user_id = uuid.uuid4().hex
        await service.ensure_account(AccountEnsureRequest(user_id, f"{user_id}@example.com", "Ada"))


async def milliseconds(service: AccountService) -> float:
    """The time of an operation, ``AT_ONCE`` of which run at the same time."""
    begun = time.perf_counter()
    await asyncio.gather(*(create(service, BATCH // AT_ONCE) for _ in range(AT_ONCE)))
    return (time.perf_counter() - begun) / BATCH * 1_000


async def compare(url: str, rounds: int) -> None:
    await migrate(url)
    database = open_database(url, pool_size=AT_ONCE)
    services = {
        "no hooks": create_account_service(database),
        "a hook of another type": create_account_service(database, hooks={"user.deleted": hook}),
        "a hook of this type": create_account_service(database, hooks={"user.created": hook}),
    }
    taken: dict[str, list[float]] = {name: [] for name in services}
    for number in range(rounds + 1):
        for name, service in services.items():
            each = await milliseconds(service)
            if number:  # the first round warms up
                taken[name].append(each)
    await database.close()
    base = taken["no hooks"]
    print(f"create an account, {AT_ONCE} at once, median of {rounds} rounds of {BATCH}")
    for name, times in taken.items():
        ratio = median(one / of_base for one, of_base in zip(times, base, strict=True))
        print(f"{name:24} {median(times):6.2f} ms   {ratio:5.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with embedded_postgres() as url:
        asyncio.run(compare(url, rounds))


if __name__ == "__main__":
    main()
