"""Guarantee 21: only a valid token of the right issuer, for this audience, within its time, has a caller."""

import base64
import hmac
import json
import time
from contextlib import suppress
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm
from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import Caller, JwtBackend, StaticKeys, VerificationKey
from hoc.cus.account.L2_api.authentication.claims import claim_at
from hoc.cus.account.L2_api.authentication.jwt import VerifiedToken, VerifiedTokens

ISSUER, AUDIENCE = "https://issuer.example", "accounts"
RSA, EC, ED = (
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
)
KEY = VerificationKey(EC.public_key(), ("ES256",))
SECOND = 1
DAY = 86_400


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def backend(pem: bytes = pem_of(EC), **options: Any) -> JwtBackend:
    return JwtBackend(key_source=StaticKeys.from_pem(pem), issuer=ISSUER, audience=AUDIENCE, **options)


def claims(**changes: Any) -> dict[str, Any]:
    """Return valid claims with changes. None removes a claim."""
    sound = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u1", "exp": int(time.time()) + DAY}
    return {name: value for name, value in (sound | changes).items() if value is not None}


def signed(
    payload: dict[str, Any], *, key: Any = EC, algorithm: str = "ES256", headers: dict[str, Any] | None = None
) -> str:
    return jwt.encode(payload, key, algorithm, headers)


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def request(*authorization: str | bytes) -> HTTPConnection:
    values = [value if isinstance(value, bytes) else value.encode() for value in authorization]
    return HTTPConnection({"type": "http", "headers": [(b"authorization", value) for value in values]})


async def caller(token: str, subject: JwtBackend | None = None) -> Caller:
    result = await (subject or backend()).authenticate(request(f"Bearer {token}"))
    assert result is not None
    assert isinstance(result[1], Caller)
    return result[1]


async def refuse(token: str, subject: JwtBackend | None = None, *, match: str = "access token") -> None:
    with pytest.raises(AuthenticationError, match=match) as refusal:
        await (subject or backend()).authenticate(request(f"Bearer {token}"))
    assert token not in str(refusal.value)


async def test_a_valid_token_gives_its_caller_and_scopes() -> None:
    token = signed(claims(tenant_id="t1", email="a@example.org", scope="accounts:read accounts:write"))
    result = await backend().authenticate(request(f"bEARER  {token}"))
    assert result is not None
    assert result[1] == Caller("u1", "t1", "a@example.org", issuer=ISSUER)
    assert result[0].scopes == ["accounts:read", "accounts:write"]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")],
)
async def test_asymmetric_algorithms_verify(key: Any, algorithm: str) -> None:
    token = signed(claims(), key=key, algorithm=algorithm)
    assert (await caller(token, backend(pem_of(key)))).user_id == "u1"


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "", "HS256", "ES256K", None, ["ES256"], {"ES256": 1}, 5]
)
@pytest.mark.parametrize("signature", ["", segment(b"x" * 64)])
async def test_a_token_without_a_real_signature_is_rejected(name: Any, signature: str) -> None:
    header = segment(json.dumps({"alg": name, "typ": "JWT"}).encode())
    await refuse(f"{header}.{segment(json.dumps(claims()).encode())}.{signature}")


@pytest.mark.parametrize("key", [RSA, EC, ED])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_not_accepted_as_a_shared_secret(key: Any, algorithm: str) -> None:
    signing_input = (
        f"{segment(json.dumps({'alg': algorithm}).encode())}.{segment(json.dumps(claims()).encode())}"
    )
    digest = hmac.digest(pem_of(key), signing_input.encode(), algorithm.replace("HS", "sha"))
    await refuse(f"{signing_input}.{segment(digest)}", backend(pem_of(key)), match="algorithm")


async def test_the_key_and_not_the_token_decides_the_algorithm() -> None:
    only_ps = VerificationKey(RSA.public_key(), ("PS256",))
    subject = JwtBackend(key_source=StaticKeys([only_ps]), issuer=ISSUER, audience=AUDIENCE)
    await caller(signed(claims(), key=RSA, algorithm="PS256"), subject)
    await refuse(signed(claims(), key=RSA, algorithm="RS256"), subject, match="algorithm")


async def test_a_key_inside_the_token_is_ignored() -> None:
    forger = ec.generate_private_key(ec.SECP256R1())
    own_key = ECAlgorithm.to_jwk(forger.public_key(), as_dict=True)
    token = signed(claims(), key=forger, headers={"jwk": own_key, "jku": "http://127.0.0.1:9/"})
    await refuse(token, match="signature")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "lacks"),
        ({"aud": None}, "lacks"),
        ({"iss": None}, "lacks"),
        ({"sub": None}, "lacks"),
        ({"exp": 1}, "expired"),
        ({"exp": int(time.time()) - 31}, "expired"),
        ({"nbf": int(time.time()) + DAY}, "not valid yet"),
        ({"iat": int(time.time()) + DAY}, "not valid yet"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other", "accounts2"]}, "audience"),
        ({"aud": []}, "lacks"),
        ({"aud": ""}, "lacks"),
        ({"aud": {"accounts": 1}}, "audience"),
        ({"aud": True}, "audience"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"exp": "9999999999"}, "exp is malformed"),
        ({"exp": True}, "expired"),
        ({"exp": False}, "expired"),
        ({"exp": float("nan")}, "exp is malformed"),
        ({"exp": float("inf")}, "exp is malformed"),
        ({"exp": float("-inf")}, "exp is malformed"),
        ({"exp": []}, "exp is malformed"),
        ({"nbf": []}, "nbf is malformed"),
        ({"nbf": float("inf")}, "nbf is malformed"),
        ({"iat": float("inf")}, "iat is malformed"),
        ({"iat": {}}, "iat is malformed"),
        ({"jti": 7}, "jti is malformed"),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "logout"),
        ({"sub": 7}, "sub is malformed"),
        ({"sub": ""}, "sub is malformed"),
        ({"sub": "u" * 256}, "sub is malformed"),
        ({"sub": "u\x00"}, "malformed"),
        ({"sub": "u\n"}, "malformed"),
        ({"sub": "\ud800"}, "malformed"),
        ({"tenant_id": 7}, "tenant_id is malformed"),
        ({"tenant_id": {"id": "t1"}}, "tenant_id is malformed"),
        ({"tenant_id": ["t1", "t2"]}, "tenant_id is malformed"),
        ({"tenant_id": [["t1"]]}, "tenant_id is malformed"),
        ({"tenant_id": "t\x1b[31m"}, "tenant_id is malformed"),
        ({"email": {}}, "email is malformed"),
        ({"email": "e" * 256}, "email is malformed"),
        ({"scope": 7}, "scope is malformed"),
        ({"scp": ["ok", 7]}, "scp is malformed"),
    ],
)
async def test_invalid_claims_are_rejected(changes: dict[str, Any], reason: str) -> None:
    await refuse(signed_raw(claims(**changes)), match=reason)


def signed_raw(payload: object) -> str:
    """Sign any JSON value, also claims that an encoder refuses to write."""
    return signed_bytes(json.dumps(payload).encode())


def signed_bytes(payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, EC, algorithm="ES256")


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b"{", b"\xff", b"[" * 3000, b'{"exp":' + b"9" * 4500 + b"}"],
)
async def test_a_signed_payload_without_claims_is_rejected(payload: bytes) -> None:
    await refuse(signed_bytes(payload), match="malformed")


@pytest.mark.parametrize("exp", [b"1e400", b"-1e400", b"Infinity", b"NaN", b'"1e400"', b"true", b"{}"])
async def test_a_time_that_is_no_number_is_a_refusal(exp: bytes) -> None:
    sound = json.dumps(claims(exp=None)).encode()[:-1]
    for name in (b"exp", b"nbf", b"iat"):
        with suppress(AuthenticationError):  # "true" is a past time for nbf and iat
            payload = sound + b', "exp": 99999999999, "' + name + b'": ' + exp + b"}"
            await backend().authenticate(request(f"Bearer {signed_bytes(payload)}"))
    await refuse(signed_bytes(sound + b', "exp": ' + exp + b"}"), match="exp is malformed|expired")


@pytest.mark.parametrize("absent", ["", None, []])
async def test_an_empty_claim_is_an_absent_one(absent: object) -> None:
    payload = claims() | {"tenant_id": absent, "scope": absent, "email": absent or ""}
    result = await caller(signed_raw(payload))
    assert result == Caller("u1", issuer=ISSUER)


async def test_a_refusal_names_the_claim_and_not_its_value() -> None:
    with pytest.raises(AuthenticationError) as refusal:
        await backend().authenticate(request(f"Bearer {signed(claims(email='secret@example.org' * 20))}"))
    assert "email" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_types_of_an_access_token_are_accepted(kind: str | None) -> None:
    header = {"alg": "ES256"} if kind is None else {"alg": "ES256", "typ": kind}
    assert (await caller(signed_with(header))).user_id == "u1"


@pytest.mark.parametrize(
    "kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt", "ID", "application/logout+jwt", "", 5]
)
async def test_a_token_of_another_type_is_rejected(kind: object) -> None:
    await refuse(signed_with({"alg": "ES256", "typ": kind}), match="typ")


def signed_with(header: dict[str, Any]) -> str:
    """Sign valid claims under exactly this header."""
    signing_input = ".".join(segment(json.dumps(part).encode()) for part in (header, claims()))
    signature = jwt.get_algorithm_by_name("ES256").sign(signing_input.encode(), EC)
    return f"{signing_input}.{segment(signature)}"


@pytest.mark.parametrize("name", ["client_id", "azp", "https://example.com/audience"])
async def test_another_claim_can_name_the_audience(name: str) -> None:
    subject = backend(audience_claim=name)
    for audience in (AUDIENCE, [AUDIENCE], ["other", AUDIENCE]):
        assert (await caller(signed(claims(aud=None) | {name: audience}), subject)).user_id == "u1"
    for other in ("other", ["other"], 7, {AUDIENCE: 1}):
        await refuse(signed(claims(aud=None) | {name: other}), subject, match=f"audience.*{name}")
    absences: list[dict[str, object]] = [{}, {name: ""}, {name: []}, {name: None}]
    for absent in absences:
        await refuse(signed(claims() | absent), subject, match=f"lacks the claim {name}")


async def test_the_usual_claim_for_the_audience_is_aud() -> None:
    await refuse(signed(claims(aud=None, client_id=AUDIENCE, azp=AUDIENCE)), match="lacks the claim aud")


TENANT_AT = [
    ("tenant", {"tenant": ["t1"]}),
    ("organization.id", {"organization": {"id": "t1"}}),
    ("organization.id", {"organization": [{"id": "t1"}]}),
    ("organization.id", {"organization": {"id": ["t1"]}}),
    ("organization.id", {"organization": {"acme": {"id": "t1"}}}),
    ("organization.id", {"organization.id": "t1", "organization": {"id": "other"}}),
    ("a.b.c", {"a": {"b": {"c": "t1"}}}),
    ("a.b.c", {"a.b": {"c": "t1"}, "a": {"b": {"c": "other"}}}),
    ("https://example.com/tenant", {"https://example.com/tenant": "t1"}),
    ("https://example.com/org.id", {"https://example.com/org": {"id": "t1"}}),
]


@pytest.mark.parametrize(("path", "payload"), TENANT_AT)
async def test_the_tenant_is_found_at_its_path(path: str, payload: dict[str, Any]) -> None:
    assert (await caller(signed(claims() | payload), backend(tenant_claim=path))).tenant_id == "t1"


@pytest.mark.parametrize(
    "organization", [None, {}, [], "", {"id": None}, {"id": ""}, {"id": []}, {"name": "Acme"}, [{}]]
)
async def test_a_path_that_leads_nowhere_selects_no_tenant(organization: object) -> None:
    token = signed(claims() | {"organization": organization})
    assert (await caller(token, backend(tenant_claim="organization.id"))).tenant_id is None


@pytest.mark.parametrize(
    "organization",
    [
        "t1",
        7,
        ["t1"],
        [{"id": "t1"}, {"id": "t2"}],
        {"acme": {"id": "t1"}, "other": {"id": "t2"}},
        {"id": ["t1", "t2"]},
        {"id": {"id": "t1"}},
        {"id": 7},
        {"id": "t\n"},
    ],
)
async def test_a_path_to_no_single_tenant_is_rejected(organization: object) -> None:
    token = signed(claims() | {"organization": organization})
    await refuse(token, backend(tenant_claim="organization.id"), match=r"claim organization\.id is malformed")


def test_deep_objects_at_the_tenants_path_are_harmless() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert claim_at({"organization": deep}, "organization.id") is None


async def test_the_leeway_allows_for_different_clocks() -> None:
    token = signed(claims(exp=int(time.time()) - 5))
    assert (await caller(token)).user_id == "u1"
    await refuse(token, backend(leeway_seconds=0), match="expired")


async def test_tenant_claim_is_configurable_and_optional() -> None:
    token = signed(claims(org="t9"))
    assert (await caller(token, backend(tenant_claim="org"))).tenant_id == "t9"
    assert (await caller(token)).tenant_id is None


@pytest.mark.parametrize("verified", [False, "false", "True", "yes", 1, 1.0, [True], {}, ""])
async def test_an_unverified_address_is_ignored(verified: object) -> None:
    result = await caller(signed(claims(email="a@example.org", email_verified=verified)))
    assert (result.email, result.email_verified) == (None, False)


@pytest.mark.parametrize("verified", [True, "true"])
async def test_an_address_is_verified_only_if_the_token_says_so(verified: object) -> None:
    result = await caller(signed(claims(email="a@example.org", email_verified=verified)))
    assert (result.email, result.email_verified) == ("a@example.org", True)
    result = await caller(signed(claims(email="a@example.org")))
    assert (result.email, result.email_verified) == ("a@example.org", False)
    result = await caller(signed(claims(email_verified=verified)))
    assert (result.email, result.email_verified) == (None, False)


@pytest.mark.parametrize(
    "granted", [{"scope": "a b"}, {"scopes": ["a", "b"]}, {"scp": ["a", "b"]}, {"scp": "a b"}]
)
async def test_scopes_are_read_in_every_usual_form(granted: dict[str, Any]) -> None:
    result = await backend().authenticate(request(f"Bearer {signed(claims(**granted))}"))
    assert result is not None
    assert result[0].scopes == ["a", "b"]


async def test_other_authentication_schemes_are_ignored() -> None:
    assert await backend().authenticate(request()) is None
    assert await backend().authenticate(request("Basic dTpw")) is None


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "bearer a", "Bearer a.b", "Bearer a.b.c.d", "Bearer a.b. c"]
)
async def test_a_malformed_bearer_token_is_rejected(value: str) -> None:
    with pytest.raises(AuthenticationError):
        await backend().authenticate(request(value))


async def test_a_second_authorization_header_is_rejected() -> None:
    token = f"Bearer {signed(claims())}"
    for values in [(token, token), (token, "Basic dTpw"), ("", token)]:
        with pytest.raises(AuthenticationError, match="several"):
            await backend().authenticate(request(*values))
    with pytest.raises(AuthenticationError):
        await backend().authenticate(request(f"{token}, {token}"))


async def test_an_oversize_token_is_rejected() -> None:
    assert (await caller(signed(claims(padding="x" * 5000)))).user_id == "u1"
    await refuse(signed(claims(padding="x" * 8192)), match="8192")


@pytest.mark.parametrize("missing", [{"audience_claim": ""}, {"tenant_claim": ""}])
def test_a_claims_name_must_not_be_empty(missing: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="names"):
        backend(**missing)


@pytest.mark.parametrize("missing", [{"issuer": ""}, {"audience": ""}, {"audience": []}])
def test_issuer_and_audience_must_be_configured(missing: dict[str, Any]) -> None:
    options: dict[str, Any] = {
        "key_source": StaticKeys.from_pem(pem_of(EC)),
        "issuer": ISSUER,
        "audience": AUDIENCE,
    }
    with pytest.raises(ValueError, match="issuer and the audience"):
        JwtBackend(**options | missing)


async def test_a_cached_token_ends_when_it_expires() -> None:
    expiry = int(time.time()) + 2 * SECOND
    subject, token = backend(leeway_seconds=0), signed(claims(exp=expiry))
    remembered = subject._verified_tokens  # pyright: ignore[reportPrivateUsage] - nothing else shows that it is used
    await caller(token, subject)
    assert len(remembered) == 1
    while time.time() < expiry:
        time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs here, and the clock is the subject
    await refuse(token, subject, match="expired")
    assert len(remembered) == 0


async def test_a_request_cannot_change_cached_scopes() -> None:
    subject, token = backend(), signed(claims(scope="accounts:read"))
    for _ in range(2):
        result = await subject.authenticate(request(f"Bearer {token}"))
        assert result is not None
        assert result[0].scopes == ["accounts:read"]
        result[0].scopes.append("accounts:admin")


async def test_a_cached_token_does_not_validate_a_tampered_one() -> None:
    subject, token = backend(), signed(claims())
    await caller(token, subject)
    header, payload, signature = token.split(".")
    other = segment(json.dumps(claims(sub="root")).encode())
    await refuse(f"{header}.{other}.{signature}", subject, match="signature")
    await refuse(f"{header}.{payload}.{segment(b'x' * 64)}", subject, match="signature")


def test_the_cache_is_bounded_and_its_entries_end() -> None:
    memory = VerifiedTokens(capacity=2, lifetime_seconds=60)
    for name, expires_at in [("a", 1000.0), ("b", 1000.0), ("c", 130.0), ("dead", 99.0)]:
        memory.put(name, VerifiedToken(Caller(name), (), expires_at, None, KEY), now=100.0)
    assert memory.get("a", now=100.0) is None  # the oldest made room
    assert memory.get("dead", now=100.0) is None
    assert memory.get("c", now=129.9) is not None
    assert memory.get("c", now=130.0) is None  # the token's own end
    assert memory.get("b", now=159.9) is not None
    assert memory.get("b", now=160.0) is None  # the end of its lifetime
    assert len(memory) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)
CLAIM_NAMES = st.sampled_from(
    [
        "exp",
        "aud",
        "iss",
        "sub",
        "nbf",
        "iat",
        "jti",
        "email",
        "email_verified",
        "tenant_id",
        "scope",
        "scopes",
        "scp",
    ]
)
SHARED = backend()


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(CLAIM_NAMES, JSON, max_size=4))
async def test_any_claims_give_a_caller_or_an_error(changes: dict[str, Any]) -> None:
    try:
        result = await SHARED.authenticate(request(f"Bearer {signed_raw(claims() | changes)}"))
    except AuthenticationError:
        return
    assert result is not None
    assert 1 <= len(result[1].identity.encode()) <= 255 * 4


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x5c", "zip"]), JSON),
    st.binary(),
    st.binary(),
)
async def test_any_unsigned_token_is_rejected(
    header: dict[str, Any], payload: bytes, signature: bytes
) -> None:
    token = ".".join(segment(part) for part in (json.dumps(header).encode(), payload, signature))
    await refuse(token, SHARED)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.binary(), st.binary().map(lambda rest: b"Bearer " + rest)), max_size=3))
async def test_any_header_bytes_are_anonymous_or_an_error(values: list[bytes]) -> None:
    try:
        assert await SHARED.authenticate(request(*values)) is None
    except AuthenticationError:
        return
