"""The caller, from hoc's own backends and from a host application's user class."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
)
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import Caller, any_of, caller_of


def connection(**scope: object) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [], **scope})


@dataclass
class HostUser:
    is_authenticated: Any = True
    user_id: Any = "u1"
    tenant_id: Any = None
    email: Any = None
    email_verified: Any = None
    issuer: Any = None


class HostileUser(BaseUser):
    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_id(self) -> str:
        raise KeyError("no row")


class NamedUser(SimpleUser):
    @property
    def identity(self) -> str:  # Starlette's oldest supported version leaves it out
        return self.username


class Fixed(AuthenticationBackend):
    def __init__(self, result: Caller | AuthenticationError | None) -> None:
        self.result = result
        self.asked = 0

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        del conn
        self.asked += 1
        if isinstance(self.result, AuthenticationError):
            raise self.result
        return None if self.result is None else (AuthCredentials(["s"]), self.result)


def test_caller_follows_the_starlette_user_contract() -> None:
    caller = Caller("u1", "t1", "a@example.org")
    assert (caller.is_authenticated, caller.identity, caller.display_name) == (True, "u1", "u1")
    assert "example" not in repr(caller)
    with pytest.raises(AttributeError):
        caller.user_id = "u2"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue] - it must fail


def test_own_caller_is_returned_unchanged() -> None:
    caller = Caller("u1", "t1", "a@example.org")
    assert caller_of(connection(user=caller)) is caller


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (NamedUser("ada"), Caller("ada")),
        (HostUser(), Caller("u1")),
        (HostUser(tenant_id="t1", email="a@example.org"), Caller("u1", "t1", "a@example.org")),
        (HostUser(tenant_id="", email="", issuer=""), Caller("u1")),
        (HostUser(user_id=UUID(int=7), tenant_id=3), Caller(str(UUID(int=7)), "3")),
        (HostUser(issuer="https://login.example"), Caller("u1", issuer="https://login.example")),
    ],
)
def test_a_host_applications_users_are_adapted(user: object, expected: Caller) -> None:
    assert caller_of(connection(user=user)) == expected


@pytest.mark.parametrize(
    "user",
    [
        None,
        "ada",
        UnauthenticatedUser(),
        BaseUser(),
        HostileUser(),
        HostUser(is_authenticated=False),
        HostUser(is_authenticated=lambda: False),
        HostUser(user_id=""),
        HostUser(user_id=True),
        HostUser(user_id=b"u1"),
        HostUser(user_id="u\x00"),
        HostUser(user_id="u" * 256),
        HostUser(user_id="\ud800"),
        HostUser(tenant_id="t\r\n"),
        HostUser(email=["a@example.org"]),
        HostUser(issuer="i\n"),
    ],
)
def test_a_user_not_clearly_authenticated_is_anonymous(user: object) -> None:
    assert caller_of(connection(user=user)) is None


@pytest.mark.parametrize("verified", [None, False, "true", 1, lambda: True])
def test_only_true_verifies_a_host_users_address(verified: object) -> None:
    for value, counts in [(verified, False), (True, True)]:
        caller = caller_of(connection(user=HostUser(email="a@example.org", email_verified=value)))
        assert caller is not None
        assert caller.email_verified is counts
    caller = caller_of(connection(user=HostUser(email_verified=True)))
    assert caller == Caller("u1")  # there is no address to verify


def test_without_the_middleware_there_is_no_caller() -> None:
    assert caller_of(connection()) is None


async def test_the_first_backend_that_knows_the_caller_wins() -> None:
    silent, first, second = Fixed(None), Fixed(Caller("u1")), Fixed(Caller("u2"))
    result = await any_of(silent, first, second).authenticate(connection())
    assert result is not None
    assert result[1].identity == "u1"
    assert (silent.asked, second.asked) == (1, 0)


async def test_an_authentication_error_is_final() -> None:
    willing = Fixed(Caller("u1"))
    with pytest.raises(AuthenticationError):
        await any_of(Fixed(AuthenticationError("no")), willing).authenticate(connection())
    assert willing.asked == 0


async def test_without_backends_every_request_is_anonymous() -> None:
    assert await any_of().authenticate(connection()) is None
