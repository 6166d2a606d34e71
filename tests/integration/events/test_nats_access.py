"""How hoc logs in to NATS, on servers that want it; a wrong login is refused at the start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority
from support.nats import NatsServer
from support.nats_keys import ACCOUNT, OPERATOR, USER, NKey, credentials
from support.relays import until_connected
from support.waiting import until

from hoc.cli.configuration import check_nats
from hoc.cli.errors import CommandError
from hoc.events.nats import JetStreamPublisher, NatsConnection, check_login, require_stream
from hoc.events.nats_access import NatsAccess
from hoc.settings import Settings

SECRET = "p@ss:w/rd,%é"
ENCODED = "p%40ss%3Aw%2Frd%2C%25%C3%A9"


@pytest.fixture
def nats(tmp_path: Path) -> NatsServer:
    """A server that the test starts."""
    return NatsServer(tmp_path / "nats")


async def uses(access: NatsAccess) -> None:
    """Connect, and use JetStream."""
    access.check()
    await check_login(access)
    connection = NatsConnection(access)
    async with connection.running():
        await until_connected(connection)
        await require_stream(connection.jetstream, "ACCOUNTS", ["user.*"], replicas=None)


async def is_refused(access: NatsAccess) -> None:
    access.check()
    with pytest.raises(ValueError, match="NATS refuses hoc's login: check HOC_NATS_URL and HOC_NATS_C"):
        await check_login(access)


async def test_a_list_of_servers_has_one_encoded_login(nats: NatsServer) -> None:
    with nats.started(authorization={"user": "ü@hoc", "password": SECRET}):
        gone = "127.0.0.1:1"
        await uses(NatsAccess(f"nats://%C3%BC%40hoc:{ENCODED}@127.0.0.1:{nats.port},nats://{gone}"))
        await is_refused(NatsAccess(f"nats://%C3%BC%40hoc:wrong@127.0.0.1:{nats.port}"))
        await is_refused(NatsAccess(nats.url))


async def test_a_token_takes_the_users_place(nats: NatsServer) -> None:
    with nats.started(authorization={"token": SECRET}):
        await uses(NatsAccess(f"nats://{ENCODED}@127.0.0.1:{nats.port}"))
        await is_refused(NatsAccess(f"nats://wrong@127.0.0.1:{nats.port}"))


async def test_an_nkey_proves_who_hoc_is(nats: NatsServer, tmp_path: Path) -> None:
    right, wrong = (NKey.new(USER) for _ in range(2))
    file = tmp_path / "user.nk"
    access = NatsAccess(nats.url, credentials_file=file)
    with nats.started(authorization={"users": [{"nkey": right.public}]}):
        file.write_text(f"{right.seed}\n")
        await uses(access)
        file.write_text(wrong.seed)
        await is_refused(access)


async def test_a_credentials_file_is_read_for_each_connection(nats: NatsServer, tmp_path: Path) -> None:
    operator, user = NKey.new(OPERATOR), NKey.new(USER)
    account, system = NKey.new(ACCOUNT), NKey.new(ACCOUNT)
    limits = {"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1}
    limits |= {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "wildcards": True}
    account_jwt = operator.signed(account.public, "hoc", "account", limits=limits)
    system_jwt = operator.signed(system.public, "SYS", "account")
    user_jwt = account.signed(user.public, "hoc", "user", subs=-1, data=-1, payload=-1)
    file = tmp_path / "user.creds"
    access = NatsAccess(nats.url, credentials_file=file)
    with nats.started(
        operator=operator.signed(operator.public, "test", "operator"),
        resolver="MEMORY",
        resolver_preload={account.public: account_jwt, system.public: system_jwt},
        system_account=system.public,
    ):
        file.write_text(credentials(user_jwt, user.seed))
        await uses(access)
        file.write_text(credentials(user_jwt, NKey.new(USER).seed))
        await is_refused(access)


async def test_hoc_and_nats_show_each_other_certificates(nats: NatsServer, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca.pem")
    for name in ("localhost", "hoc"):
        authority.certify(name, tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    tls: dict[str, Any] = {
        "cert_file": str(tmp_path / "localhost.pem"),
        "key_file": str(tmp_path / "localhost.key"),
    }
    tls |= {"ca_file": str(tmp_path / "ca.pem"), "verify": True}
    url = f"tls://localhost:{nats.port}"
    own = {"certificate_file": tmp_path / "hoc.pem", "key_file": tmp_path / "hoc.key"}
    with nats.started(tls=tls):
        await uses(NatsAccess(url, ca_file=authority.root, **own))
        with pytest.raises(ValueError, match=r"TLS with NATS fails \(CERTIFICATE_VERIFY_FAILED\)"):
            await check_login(NatsAccess(url))


async def test_a_login_that_ended_is_used_again_once_it_is_back(nats: NatsServer) -> None:
    """nats-py closes its client for good when a server ends the login."""
    access = NatsAccess(f"nats://hoc:one@127.0.0.1:{nats.port}")
    connection = NatsConnection(access)
    with nats.started(authorization={"user": "hoc", "password": "one"}):
        async with connection.running():
            await until_connected(connection)
            nats.stop()
            nats.start(authorization={"user": "hoc", "password": "two"})

            async def is_closed() -> bool:
                return not connection.is_connected

            await until(is_closed)
            nats.stop()
            nats.start(authorization={"user": "hoc", "password": "one"})
            await until_connected(connection)


async def test_a_new_stream_has_the_replicas_of_the_setting(nats: NatsServer) -> None:
    """One server cannot hold three: that is what it answers."""
    with nats.started():
        connection = NatsConnection(nats.url)
        async with connection.running():
            await until_connected(connection)
            publisher: Any = JetStreamPublisher(connection, stream="ACCOUNTS", replicas=3)
            with pytest.raises(Exception, match="replicas > 1 not supported in non-clustered mode"):
                await publisher._require_stream(connection.jetstream)


WRONG: dict[str, Callable[[Path], dict[str, Any]]] = {
    "expected the same login": lambda _: {"nats_url": "nats://a:b@h,nats://c:d@i"},
    "expected ws:// or wss://": lambda _: {"nats_url": "ws://h,nats://i"},
    "TLS and keys are settings": lambda _: {"nats_url": "nats://h?tls=1"},
    "expected a URL such as": lambda _: {"nats_url": "nats://h:70000"},
    "HOC_NATS_CREDENTIALS_FILE: .* cannot be read": lambda path: {"nats_credentials_file": path / "no"},
    "contains no seed of a user's NKey": lambda path: {"nats_credentials_file": path / "wrong"},
    "HOC_NATS_CA_FILE, .* or HOC_NATS_KEY_FILE: ": lambda path: {"nats_ca_file": path / "wrong"},
    "HOC_NATS_KEY_FILE is set, but HOC_NATS_C": lambda path: {"nats_key_file": path / "wrong"},
}


@pytest.mark.parametrize("why", WRONG)
def test_a_wrong_setting_of_nats_is_named(tmp_path: Path, why: str) -> None:
    (tmp_path / "wrong").write_text(NKey.new(ACCOUNT).seed)
    with pytest.raises((ValueError, CommandError), match=why):
        check_nats(Settings(**({"nats_url": "nats://127.0.0.1:1"} | WRONG[why](tmp_path))))
