"""Key sources, with a real HTTP server: rotation, an absent publisher, floods of invented kids."""

import asyncio
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
from hoc.cus.account.L2_api.authentication.key_fetching import MAX_KEY_SET_BYTES
from hoc.cus.account.L2_api.authentication.keys import FETCH_SECONDS, KEY_LIFETIME_SECONDS, REFRESH_SECONDS

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
        self.sent = 0
        self.trickles = False
        self.trickles_headers = False
        self.stopped = Event()
        self.may_answer = Event()
        self.may_answer.set()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.fetches += 1
                with suppress(OSError):  # the client has hung up
                    self.answer()

            def answer(self) -> None:
                trickles, trickles_headers = publisher.trickles, publisher.trickles_headers
                publisher.may_answer.wait(30)
                self.send_response(publisher.status)
                self.flush_headers()
                while trickles_headers and not publisher.stopped.wait(0.02):
                    self.wfile.write(b"X")
                self.send_header("Content-Length", str(len(publisher.body)))
                if 300 <= publisher.status < 400:
                    self.send_header("Location", publisher.url)
                self.end_headers()
                while trickles and not publisher.stopped.wait(0.02):
                    self.wfile.write(b" ")
                for start in range(0, len(publisher.body), 2**16):
                    self.wfile.write(publisher.body[start : start + 2**16])
                    publisher.sent = start + 2**16

            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - drops all
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def recover(self) -> None:
        """Answer the next requests."""
        self.trickles = self.trickles_headers = False
        self.may_answer.set()

    def stop(self) -> None:
        self.recover()
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


async def eventually_accepts(subject: JwtBackend, bearer: str) -> None:
    async with asyncio.timeout(20):
        while not await accepts(subject, bearer):  # noqa: ASYNC110 - time must pass
            await asyncio.sleep(0.01)


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
        while await source.key("old"):  # noqa: ASYNC110 - the fetch runs in a thread
            await asyncio.sleep(0.01)
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
        await eventually_accepts(subject, token(OLD, "old"))


async def test_a_failing_publisher_is_asked_once_per_interval() -> None:
    with publishing() as publisher:
        publisher.status = 500
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


UNUSABLE = [b"", b"<html>", b"[]", b"{}", b'{"keys": 7}', b'{"keys": null}', b'{"keys": [', b"[" * 100_000]


@pytest.mark.parametrize("body", UNUSABLE)
async def test_an_unusable_response_keeps_the_known_keys(body: bytes) -> None:
    with publishing(jwk(OLD, "old")) as publisher:
        source = JwksUrl(publisher.url, cooldown_seconds=0, max_age_seconds=0)
        assert await source.key("old")
        publisher.body = body
        assert await source.key("new") is None
        assert publisher.fetches == 2
        assert await source.key("old")


@pytest.mark.parametrize(
    "keys", [[], [jwk(OLD, "other")], [jwk(OLD, "old", use="enc")], [{"kid": "old"}], ["nonsense"]]
)
async def test_a_key_set_without_the_key_ends_it_at_once(keys: list[Any]) -> None:
    """Guarantee 64: also for a token that has just been verified."""
    with publishing(jwk(OLD, "old")) as publisher:
        source = JwksUrl(publisher.url, cooldown_seconds=0)
        subject = JwtBackend(key_source=source, issuer=ISSUER, audience=AUDIENCE)
        bearer = token(OLD, "old")
        assert await accepts(subject, bearer)
        publisher.publish(*keys)
        assert await source.key("unknown") is None  # fetches
        with pytest.raises(AuthenticationError, match="does not publish") as refusal:
            await subject.authenticate(request(bearer))
        assert not isinstance(refusal.value, KeysUnavailableError)


async def test_a_replaced_key_of_the_same_name_ends_its_tokens() -> None:
    with publishing(jwk(OLD, "key")) as publisher:
        source = JwksUrl(publisher.url, cooldown_seconds=0)
        subject = JwtBackend(key_source=source, issuer=ISSUER, audience=AUDIENCE)
        bearer = token(OLD, "key")
        assert await accepts(subject, bearer)
        publisher.publish(jwk(NEW, "key"))
        assert await source.key("unknown") is None  # fetches
        with pytest.raises(AuthenticationError, match="signature"):
            await subject.authenticate(request(bearer))
        assert await accepts(subject, token(NEW, "key"))


def stopped(publisher: Publisher) -> None:
    publisher.stop()


def failing(publisher: Publisher) -> None:
    publisher.status = 500


def redirecting(publisher: Publisher) -> None:
    publisher.status = 302


def useless(publisher: Publisher) -> None:
    publisher.body = b"<html>"


def silent(publisher: Publisher) -> None:
    publisher.may_answer.clear()


def trickling(publisher: Publisher) -> None:
    publisher.trickles = True


def trickling_headers(publisher: Publisher) -> None:
    publisher.trickles_headers = True


def endless(publisher: Publisher) -> None:
    publisher.body = b" " * 2**27


@pytest.mark.parametrize(
    "trouble", [stopped, failing, redirecting, useless, silent, trickling, trickling_headers, endless]
)
async def test_a_key_dies_in_time_whatever_its_server_does(trouble: Callable[[Publisher], None]) -> None:
    """Guarantee 64: the set's lifetime is the limit, and then no token is accepted."""
    with publishing(jwk(OLD, "old")) as publisher:
        subject = backend(
            publisher.url, max_age_seconds=0, lifetime_seconds=2, retry_seconds=0.01, timeout_seconds=0.7
        )
        bearer = token(OLD, "old")
        await eventually_accepts(subject, bearer)
        trouble(publisher)
        async with asyncio.timeout(15):
            while await accepts(subject, bearer):  # noqa: ASYNC110 - time must pass
                await asyncio.sleep(0.01)
        with pytest.raises(KeysUnavailableError):
            await subject.authenticate(request(bearer))


@pytest.mark.parametrize("trouble", [trickling, trickling_headers])
async def test_a_fetch_that_trickles_ends_and_another_begins(trouble: Callable[[Publisher], None]) -> None:
    """The first answer trickles on while the second is complete."""
    with publishing(jwk(NEW, "new")) as publisher:
        trouble(publisher)
        subject = backend(publisher.url, retry_seconds=0.01, timeout_seconds=0.7)
        with pytest.raises(KeysUnavailableError):
            await subject.authenticate(request(token(NEW, "new")))
        publisher.recover()
        await eventually_accepts(subject, token(NEW, "new"))


async def test_a_key_set_of_more_than_a_mebibyte_is_not_read() -> None:
    with publishing() as publisher:
        fits = json.dumps({"keys": [jwk(OLD, "old")]}).encode().ljust(2**20)
        source = JwksUrl(publisher.url, cooldown_seconds=0, max_age_seconds=0)
        publisher.body = fits
        assert await source.key("old")
        publisher.body = b'{"keys": []}'.ljust(2**20 + 1)
        assert await source.key("unknown") is None
        assert await source.key("old")
        publisher.body = b" " * 2**27
        assert await source.key("unknown") is None
        await eventually(lambda: publisher.sent > 0)
        assert publisher.sent < 2**25  # the rest was not taken from it


def test_the_constants_are_those_of_the_documentation() -> None:
    """Guarantee 64: the stated times."""
    page = (Path(__file__).parents[3] / "docs/how-to/authenticate.md").read_text()
    assert (REFRESH_SECONDS, KEY_LIFETIME_SECONDS, FETCH_SECONDS, MAX_KEY_SET_BYTES) == (300, 3600, 5, 2**20)
    for stated in ("five minutes", "one hour", "five seconds", "1 MiB"):
        assert stated in page


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
