"""Key sources, with a real HTTP server: rotation, an absent publisher, floods of invented kids."""

import asyncio
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import JwksUrl, JwtBackend, KeysUnavailableError, StaticKeys

OLD, NEW = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ISSUER, AUDIENCE = "https://issuer.example", "accounts"


def jwk(key: ec.EllipticCurvePrivateKey, kid: str, **members: Any) -> dict[str, Any]:
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} | members


def token(key: ec.EllipticCurvePrivateKey, kid: str, sub: str = "u1") -> str:
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "exp": int(time.time()) + 3600}
    return jwt.encode(payload, key, algorithm="ES256", headers={"kid": kid})


def request(bearer: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", f"Bearer {bearer}".encode())]})


class Publisher:
    """An HTTP server with a JWK set. It counts fetches, and can stall, answer nonsense, or stop."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()
        self.status = 200
        self.fetches = 0
        self.trickles = False
        self.stopped = Event()
        self.may_answer = Event()
        self.may_answer.set()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.fetches += 1
                publisher.may_answer.wait(30)
                self.send_response(publisher.status)
                self.send_header("Content-Length", str(len(publisher.body)))
                self.end_headers()
                while publisher.trickles and not publisher.stopped.wait(0.02):
                    self.wfile.write(b" ")
                self.wfile.write(publisher.body)

            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - drops all
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def stop(self) -> None:
        self.may_answer.set()
        self.stopped.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@contextmanager
def publishing(*keys: dict[str, Any]) -> Generator[Publisher]:
    publisher = Publisher(*keys)
    try:
        yield publisher
    finally:
        publisher.stop()


def backend(url: str, **options: Any) -> JwtBackend:
    return JwtBackend(key_source=JwksUrl(url, **options), issuer=ISSUER, audience=AUDIENCE)


async def accepts(subject: JwtBackend, bearer: str) -> bool:
    try:
        return await subject.authenticate(request(bearer)) is not None
    except AuthenticationError:
        return False


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the publisher's thread has no event to wait for
            await asyncio.sleep(0.01)


async def test_one_fetch_serves_every_caller() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        subject = backend(publisher.url)
        bearers = [token(OLD, "old", sub=f"u{number}") for number in range(50)]
        assert all(await asyncio.gather(*(accepts(subject, bearer) for bearer in bearers)))
        assert publisher.fetches == 1


async def test_a_rotated_key_replaces_the_withdrawn_one() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        subject = backend(publisher.url, cooldown_seconds=0)
        assert await accepts(subject, token(OLD, "old"))
        assert not await accepts(subject, token(NEW, "new"))
        publisher.publish(jwk(NEW, "new"))
        assert await accepts(subject, token(NEW, "new"))
        assert not await accepts(subject, token(OLD, "old", sub="u2"))


async def test_a_stale_key_set_is_refreshed_in_the_background() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        source = JwksUrl(publisher.url, cooldown_seconds=0, max_age_seconds=0)
        assert await source.key("old")
        publisher.publish(jwk(NEW, "new"))
        publisher.may_answer.clear()
        assert await source.key("old")  # does not wait for the refresh that it starts
        publisher.may_answer.set()
        await eventually(lambda: source._find("old") is None)  # pyright: ignore[reportPrivateUsage] - `key` would start a fetch
        assert await source.key("new")


async def test_a_flood_of_invented_kids_causes_no_fetch() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        subject = backend(publisher.url, cooldown_seconds=3600)
        assert await accepts(subject, token(OLD, "old"))
        for number in range(200):
            assert not await accepts(subject, token(NEW, f"invented-{number}"))
        assert publisher.fetches == 1
        assert await accepts(subject, token(OLD, "old", sub="u2"))


async def test_requests_for_unknown_keys_share_a_running_fetch() -> None:
    """Requests for known keys do not wait for it."""
    with publishing(jwk(OLD, "old")) as publisher:
        subject = backend(publisher.url, cooldown_seconds=0, timeout_seconds=30)
        assert await accepts(subject, token(OLD, "old"))
        publisher.may_answer.clear()
        flood = [asyncio.create_task(accepts(subject, token(NEW, f"invented-{n}"))) for n in range(100)]
        await eventually(lambda: publisher.fetches == 2)
        assert await accepts(subject, token(OLD, "old", sub="u2"))
        assert not any(task.done() for task in flood)
        publisher.may_answer.set()
        assert not any(await asyncio.gather(*flood))
        assert publisher.fetches == 2


async def test_a_cancelled_request_does_not_cancel_the_fetch() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        publisher.may_answer.clear()
        subject = backend(publisher.url)
        gone, waiting = (
            asyncio.create_task(accepts(subject, token(OLD, "old", sub=name))) for name in ("gone", "waiting")
        )
        await eventually(lambda: publisher.fetches == 1)
        gone.cancel()
        publisher.may_answer.set()
        assert await waiting


async def test_known_keys_work_while_the_publisher_is_down() -> None:
    """Unknown keys are rejected."""
    publisher = Publisher(jwk(OLD, "old"))
    subject = backend(publisher.url, cooldown_seconds=0, max_age_seconds=0)
    try:
        assert await accepts(subject, token(OLD, "old"))
    finally:
        publisher.stop()
    for number in range(20):
        assert await accepts(subject, token(OLD, "old", sub=f"u{number}"))
    with pytest.raises(AuthenticationError) as refusal:
        await subject.authenticate(request(token(NEW, "new")))
    assert not isinstance(refusal.value, KeysUnavailableError)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (302, b""),
        (200, b""),
        (200, b"[]"),
        (200, b'{"keys": 7}'),
        (200, b"\xff"),
        (200, b"[" * 100_000),
    ],
)
async def test_before_any_key_is_loaded_keys_are_unavailable(status: int, body: bytes) -> None:
    """No token is rejected until a fetch has succeeded."""
    with publishing(jwk(OLD, "old")) as publisher:
        sound, publisher.body, publisher.status = publisher.body, body, status
        subject = backend(publisher.url, cooldown_seconds=0)
        for _ in range(3):  # the second and third are too early for another fetch
            with pytest.raises(KeysUnavailableError) as refusal:
                await subject.authenticate(request(token(OLD, "old")))
            assert refusal.value.retry_after_seconds == 1
        publisher.body, publisher.status = sound, 200
        async with asyncio.timeout(20):
            while not await accepts(subject, token(OLD, "old")):  # noqa: ASYNC110 - time must pass
                await asyncio.sleep(0.05)


async def test_a_failing_publisher_is_asked_once_per_interval() -> None:
    with publishing() as publisher:
        subject = backend(publisher.url, cooldown_seconds=0, retry_seconds=3600)
        for number in range(50):
            with pytest.raises(KeysUnavailableError) as refusal:
                await subject.authenticate(request(token(NEW, f"invented-{number}")))
            assert refusal.value.retry_after_seconds == 3600
        assert publisher.fetches == 1


async def test_a_trickling_response_does_not_block_a_request() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        publisher.trickles = True
        publisher.body = b" " * 1_000_000  # the announced body, which never arrives
        subject = backend(publisher.url, timeout_seconds=0.3)
        async with asyncio.timeout(20):
            with pytest.raises(KeysUnavailableError):
                await subject.authenticate(request(token(OLD, "old")))


async def test_an_unusable_response_keeps_the_known_keys() -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        source = JwksUrl(publisher.url, cooldown_seconds=0, max_age_seconds=0)
        assert await source.key("old")
        publisher.publish()
        assert await source.key("new") is None
        assert publisher.fetches == 2
        assert await source.key("old")


@pytest.mark.parametrize("url", ["", "file:///etc/hosts", "ftp://example.org/jwks", "https://", "jwks.json"])
def test_only_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        JwksUrl(url)


def test_a_key_set_keeps_only_keys_that_may_verify() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "secret", "alg": "HS256"}
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    private = ECAlgorithm.to_jwk(NEW, as_dict=True)
    keys = StaticKeys.from_jwks(
        {
            "keys": [
                secret,
                weak | {"kid": "weak"},
                private | {"kid": "private"},
                jwk(OLD, "encryption", use="enc"),
                jwk(OLD, "other algorithm", alg="ES384"),
                jwk(OLD, "good", alg="ES256", use="sig"),
                jwk(NEW, "also good"),
                "nonsense",
            ]
        }
    )
    for kid in ("secret", "weak", "private", "encryption", "other algorithm", "unknown", None):
        assert keys.find(kid) is None
    for kid in ("good", "also good"):
        key = keys.find(kid)
        assert key is not None
        assert key.algorithms == ("ES256",)


def test_a_single_key_needs_no_kid() -> None:
    named = StaticKeys.from_jwks({"keys": [jwk(OLD, "only")]})
    assert named.find(None) is not None
    assert named.find("other") is None


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        OLD.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        rsa.generate_private_key(65537, 1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ec.generate_private_key(ec.SECP256K1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_an_unusable_pem_key_is_rejected(pem: bytes) -> None:
    with pytest.raises(ValueError, match="public"):
        StaticKeys.from_pem(pem)


MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "k", "alg", "use", "kid", "keys"])
VALUES = (
    st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "Ed25519", "sig", "AQAB", "ES256"])
    | st.none()
    | st.text()
)
ED_JWK = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.dictionaries(MEMBERS, VALUES | st.integers() | st.lists(st.integers(), max_size=2)), max_size=3
    )
)
def test_no_other_key_in_the_set_spoils_a_good_one(others: list[dict[str, Any]]) -> None:
    keys = StaticKeys.from_jwks({"keys": [ED_JWK | {"kid": "good one"}, *others]})
    assert keys.find("good one") is not None
