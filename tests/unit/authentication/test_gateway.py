"""Guarantee 20: identity headers count only from the gateway, once, under their own names."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import Caller, GatewayBackend

SECRET = "correct horse battery"
USER = (b"x-hoc-user-id", b"u1")
PROOF = (b"x-hoc-gateway-secret", SECRET.encode())
NAMES = [
    "X-Hoc-Gateway-Secret",
    "X-Hoc-User-Id",
    "X-Hoc-Tenant-Id",
    "X-Hoc-Email",
    "X-Hoc-Email-Verified",
    "X-Hoc-Scopes",
]
BACKEND = GatewayBackend(secret=SECRET)

Header = tuple[bytes, bytes]


def request(*headers: Header) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": list(headers)})


async def refuse(*headers: Header) -> None:
    with pytest.raises(AuthenticationError) as refusal:
        await BACKEND.authenticate(request(*headers))
    assert SECRET not in str(refusal.value)
    assert "u1" not in str(refusal.value)


async def test_the_gateways_headers_are_the_caller() -> None:
    result = await BACKEND.authenticate(
        request(
            PROOF,
            (b"X-Hoc-User-Id", "zoë".encode()),
            (b"X-HOC-TENANT-ID", b"t1"),
            (b"x-hoc-email", b"a@example.org"),
            (b"x-hoc-scopes", b"accounts:read accounts:write"),
        )
    )
    assert result is not None
    assert result[1] == Caller("zoë", "t1", "a@example.org", issuer="gateway")
    assert result[0].scopes == ["accounts:read", "accounts:write"]


async def test_empty_values_count_as_absent() -> None:
    result = await BACKEND.authenticate(
        request(PROOF, USER, (b"x-hoc-tenant-id", b""), (b"x-hoc-scopes", b""))
    )
    assert result is not None
    assert result[1] == Caller("u1", issuer="gateway")
    assert result[0].scopes == []


@pytest.mark.parametrize("value", [b"", b"false", b"TRUE", b"1", b"yes", b"true "])
async def test_only_true_beside_an_address_verifies_it(value: bytes) -> None:
    email = (b"x-hoc-email", b"a@example.org")
    for headers, verified in [
        ((email, (b"x-hoc-email-verified", value)), False),
        (((b"x-hoc-email-verified", b"true"),), False),
        (((b"x-hoc-email", b""), (b"x-hoc-email-verified", b"true")), False),
        ((email, (b"X-Hoc-Email-Verified", b"true")), True),
    ]:
        result = await BACKEND.authenticate(request(PROOF, USER, *headers))
        assert result is not None
        assert isinstance(result[1], Caller)
        assert result[1].email_verified is verified


@pytest.mark.parametrize("headers", [(), (PROOF,), ((b"accept", b"*/*"),), (PROOF, (b"x-hoc-user-id", b""))])
async def test_a_request_without_identity_is_anonymous(headers: tuple[Header, ...]) -> None:
    assert await BACKEND.authenticate(request(*headers)) is None


@pytest.mark.parametrize("name", [name.lower().encode() for name in NAMES[1:]])
async def test_an_identity_without_the_secret_is_rejected(name: bytes) -> None:
    await refuse((name, b"u1"))
    await refuse((name, b""))


@pytest.mark.parametrize(
    "secret", [b"", b"x", SECRET[:-1].encode(), SECRET.encode() + b"x", SECRET.upper().encode(), b"\xff" * 21]
)
async def test_a_wrong_secret_is_rejected(secret: bytes) -> None:
    await refuse((b"x-hoc-gateway-secret", secret), USER)
    await refuse((b"x-hoc-gateway-secret", secret))


@pytest.mark.parametrize("name", [name.lower().encode() for name in NAMES])
async def test_a_repeated_header_is_rejected(name: bytes) -> None:
    double = [header for header in (PROOF, USER) if header[0] != name]
    value = SECRET.encode() if name == PROOF[0] else b"u1"
    await refuse(*double, (name, value), (name, value))
    await refuse(*double, (name, value), (name.upper(), value))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("punctuation", "_.!#$%&'*+^`|~")
async def test_a_similar_header_name_is_rejected(name: str, punctuation: str) -> None:
    for alias in (name.replace("-", punctuation), name.replace("-", punctuation, 1)):
        await refuse((alias.encode(), b"u1"))
        await refuse(PROOF, USER, (alias.lower().encode(), b"u1"))


async def test_other_headers_with_punctuation_are_ignored() -> None:
    assert await BACKEND.authenticate(request((b"x_request_id", b"1"), (b"x-hoc-user-id-2", b"1"))) is None


@pytest.mark.parametrize(
    "identity",
    [
        [(b"x-hoc-tenant-id", b"t1")],
        [(b"x-hoc-user-id", b"u\x00")],
        [(b"x-hoc-user-id", b"\xff\xfe")],
        [(b"x-hoc-user-id", b"u" * 256)],
        [USER, (b"x-hoc-tenant-id", b"t\x1b[31m")],
        [USER, (b"x-hoc-email", b"a\nb")],
    ],
)
async def test_a_malformed_identity_is_rejected(identity: list[Header]) -> None:
    await refuse(PROOF, *identity)


async def test_the_secret_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare_digest = hmac.compare_digest

    def spy(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return compare_digest(first, second)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    await BACKEND.authenticate(request(PROOF, USER))
    await refuse((b"x-hoc-gateway-secret", b"wrong"), USER)
    assert compared == [(SECRET.encode(), SECRET.encode()), (b"wrong", SECRET.encode())]


@pytest.mark.parametrize("secret", ["", "short", "x" * 15])
def test_a_short_secret_is_rejected_at_construction(secret: str) -> None:
    with pytest.raises(ValueError, match="16 characters"):
        GatewayBackend(secret=secret)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from([name.lower().encode() for name in NAMES]) | st.binary(), st.binary()))
)
async def test_without_the_secret_nobody_is_authenticated(headers: list[Header]) -> None:
    try:
        assert await BACKEND.authenticate(request(*headers)) is None
    except AuthenticationError:
        return
