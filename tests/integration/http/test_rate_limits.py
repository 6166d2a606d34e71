"""Rate limits of callers and client addresses, which are off by default."""

import subprocess
import sys
from collections.abc import AsyncGenerator

import httpx
import pytest
from pydantic import SecretStr
from support.console import HOST, MOUNT, Console, ConsoleOn, problem_of

from hoc.cus.account.L2_api.rate_limit_counters import Counters
from hoc.cus.account.L2_api.rate_limits import RateLimits
from hoc.cus.account.L5_schemas.errors import LimitExceededError
from hoc.optional_parts import rate_limits
from hoc.settings import Settings

OFTEN = 20


@pytest.fixture(scope="module")
async def limited(console_on: ConsoleOn, database_url: str) -> AsyncGenerator[Console]:
    """Three requests of a caller, and eight from an address."""
    async with console_on(
        database_url,
        rate_limits=True,
        rate_limit_per_caller="10/hour;3/minute",
        rate_limit_per_address="8/hour",
    ) as console:
        yield console


def client_at(console: Console, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(console.served.console_app, client=(address, 1), root_path=MOUNT)
    return httpx.AsyncClient(transport=transport, base_url=HOST)


async def statuses(http: httpx.AsyncClient, count: int, **request: object) -> list[int]:
    return [(await http.get(f"{MOUNT}/memberships", **request)).status_code for _ in range(count)]  # type: ignore[arg-type]


async def test_a_caller_gets_429_beyond_the_limit(limited: Console) -> None:
    _, user = await limited.tenant()
    _, other = await limited.tenant()
    async with client_at(limited, "192.0.2.1") as http:
        assert await statuses(http, 3, headers=limited.as_(user)) == [200] * 3
        refused = await http.get(f"{MOUNT}/memberships", headers=limited.as_(user))
        assert await statuses(http, 1, headers=limited.as_(other)) == [200]
    assert refused.status_code == 429
    assert problem_of(refused)["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    async with client_at(limited, "192.0.2.2") as http:
        assert await statuses(http, 1, headers=limited.as_(user)) == [429]


async def test_an_address_gets_429_beyond_the_limit(limited: Console) -> None:
    """Also without credentials, and with wrong ones."""
    async with client_at(limited, "192.0.2.3") as http:
        assert await statuses(http, 4) == [401] * 4
        assert await statuses(http, 5, headers={"Authorization": "Bearer x"}) == [401] * 4 + [429]
        refused = await http.post(f"{MOUNT}/invitations/x/accept", json={"token": "t"})
    assert refused.status_code == 429
    assert 3_000 < int(refused.headers["retry-after"]) <= 3_600
    async with client_at(limited, "192.0.2.4") as http:
        assert await statuses(http, 1) == [401]


async def test_an_ipv6_network_is_one_address(limited: Console) -> None:
    for number in range(8):
        async with client_at(limited, f"2001:db8::{number}") as http:
            assert await statuses(http, 1) == [401]
    async with client_at(limited, "2001:db8::ffff:1") as http:
        assert await statuses(http, 1) == [429]
    async with client_at(limited, "2001:db8:0:1::1") as http:
        assert await statuses(http, 1) == [401]


async def test_rate_limits_are_off_by_default(console: Console) -> None:
    _, user = await console.tenant()
    assert Settings.model_fields["rate_limits"].default is False
    async with client_at(console, "192.0.2.5") as http:
        assert set(await statuses(http, OFTEN, headers=console.as_(user))) == {200}


async def test_a_request_is_not_limited_while_the_store_fails(caplog: pytest.LogCaptureFixture) -> None:
    limits = RateLimits(per_caller="1/hour", per_address="1/hour", storage_url="failing://user:secret@host")
    for _ in range(3):
        await limits.count_caller("ada")
    [record] = caplog.records
    assert "HOC_RATE_LIMIT_STORAGE_URL" in record.message
    assert "secret" not in record.message


class FailingStore(Counters):
    """A store that cannot be reached."""

    STORAGE_SCHEME = ["async+failing"]  # type: ignore[assignment]  # noqa: RUF012 - as the library has it

    def __init__(self, _url: str, **_options: object) -> None:
        super().__init__()

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:  # noqa: ARG002 - the library's
        raise ConnectionRefusedError


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rate_limit_per_caller", "many"),
        ("rate_limit_per_address", "5000"),
        ("rate_limit_storage_url", SecretStr("gopher://user:secret@host")),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(setting: str, value: object) -> None:
    settings = Settings.model_validate({"rate_limits": True, setting: value})
    with pytest.raises(ValueError, match=f"HOC_{setting.upper()}") as refusal:
        rate_limits(settings)
    assert "secret" not in str(refusal.value)


def test_without_rate_limits_the_library_is_not_imported() -> None:
    program = "import sys, hoc.asgi, hoc.server; sys.exit('limits' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# The counters of one process


async def test_a_counter_ends_when_it_expires() -> None:
    counters = Counters()
    assert [await counters.incr("a", 0.0), await counters.incr("a", 3_600), await counters.incr("a", 60)] == [
        1,
        1,
        2,
    ]


async def test_the_counters_have_a_capacity() -> None:
    """The one that expires first is forgotten."""
    counters = Counters(capacity=3)
    for number in range(100):
        await counters.incr(f"k{number}", 3_600 - number)
    assert len(counters) <= 4
    assert await counters.get("k0") == 1


async def test_an_hour_is_counted_beside_the_minute() -> None:
    limits = RateLimits(per_caller="2/hour;100/minute", per_address="1/hour")
    await limits.count_caller("ada")
    await limits.count_caller("ada")
    with pytest.raises(LimitExceededError) as refusal:
        await limits.count_caller("ada")
    assert (refusal.value.retry_after or 0) > 3_000
