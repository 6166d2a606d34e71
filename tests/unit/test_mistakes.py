"""A wrong setting is refused by name, without its value, before anything is started."""

import os
from typing import Any

import pytest

from hoc.cli.configuration import check_application, load_settings
from hoc.cli.errors import CommandError
from hoc.settings import Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOC_")]:
        monkeypatch.delenv(name)


def named(value: dict[str, str] | str) -> str:
    """A case is named by its first variable."""
    return next(iter(value)) if isinstance(value, dict) else ""


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        (
            {"HOC_DATABSE_URL": "hidden"},
            "HOC_DATABSE_URL is no setting of hoc; did you mean HOC_DATABASE_URL?",
        ),
        ({"HOC_DATABASE_URL": "mysql://u:hidden@127.0.0.1/x"}, "HOC_DATABASE_URL: expected a URL"),
        ({"HOC_DATABASE_URL": "postgresql://u:p@127.0.0.1:hidden/x"}, "HOC_DATABASE_URL: expected a URL"),
        ({"HOC_LISTEN_DATABASE_URL": "hidden"}, "HOC_LISTEN_DATABASE_URL: expected a URL"),
        ({"HOC_DATABASE_REPLICA_URL": "hidden"}, "HOC_DATABASE_REPLICA_URL: expected a URL"),
        ({"HOC_MAIL_FROM": "not an address"}, "HOC_MAIL_FROM must be an address"),
        ({"HOC_PUBLIC_URL": "app.example.com"}, "HOC_PUBLIC_URL: expected an absolute URL"),
        ({"HOC_SMTP_URL": "http://user:hidden@mail.example.com"}, "HOC_SMTP_URL: the scheme must be"),
        ({"HOC_NATS_URL": "http://user:hidden@nats.example.com"}, "HOC_NATS_URL: expected a URL"),
        ({"HOC_MOUNT_PATH": "accounts"}, "HOC_MOUNT_PATH: String should match pattern"),
        ({"HOC_OPERATIONS_TOKEN": "hidden"}, "HOC_OPERATIONS_TOKEN must have at least 16 characters"),
        ({"HOC_GATEWAY_SECRET": "hidden"}, "16 characters"),
        (
            {"HOC_JWT_PUBLIC_KEY": "hidden", "HOC_JWT_ISSUER": "i", "HOC_JWT_AUDIENCE": "a"},
            "not a PEM public key",
        ),
        ({"HOC_JWT_JWKS_URL": "hidden"}, "HOC_JWT_JWKS_URL: expected an absolute URL"),
        (
            {"HOC_DATABASE_URL": "postgresql://u:hidden@h/x?sslmod=require"},
            "HOC_DATABASE_URL: the URL's parameter sslmod is unknown; known are application_name, ",
        ),
        ({"HOC_DATABASE_URL": "postgresql://u:hidden@h/x?sslmode=on"}, "sslmode must be one of disable, "),
        (
            {"HOC_DATABASE_URL": "postgresql://u:hidden@h/x?sslrootcert=/no"},
            "sslrootcert: there is no file /no",
        ),
        ({"HOC_DATABASE_URL": "postgresql://h/x?channel_binding=require"}, "sslmode=verify-full proves"),
        ({"HOC_DATABASE_URL": "postgresql://h/x?sslmode=require&sslrootcert=system"}, "sslmode=verify-full"),
        ({"HOC_DATABASE_URL": "postgresql://a,b/x?port=1,2,3"}, "port: 3 ports for 2 hosts"),
        ({"HOC_DATABASE_URL": "postgresql://h:65536/x"}, "port must be between 1 and 65535"),
        (
            {"HOC_DATABASE_URL": "postgresql://h/x?connect_timeout=soon"},
            "connect_timeout must be a whole number",
        ),
        ({"HOC_DATABASE_URL": "postgresql://h/x?sslmode"}, "must be name=value"),
        ({"HOC_LISTEN_DATABASE_URL": "postgresql://h/x?password=hidden&x=1"}, "HOC_LISTEN_DATABASE_URL: "),
        (
            {"HOC_DATABASE_URL": "postgresql://u:hidden@h/x", "HOC_DATABASE_PASSWORD_FILE": "/etc/hostname"},
            "HOC_DATABASE_URL: has a password, and HOC_DATABASE_PASSWORD_FILE names another",
        ),
        (
            {"HOC_DATABASE_URL": "postgresql://u@h/x", "HOC_DATABASE_PASSWORD_FILE": "/no"},
            "HOC_DATABASE_PASSWORD_FILE: there is no file /no",
        ),
        ({"HOC_DATABASE_PASSWORD_FILE": "/etc/hostname"}, "HOC_DATABASE_URL is not"),
        ({"HOC_CONSUL_URL": "localhost:8500"}, "HOC_CONSUL_URL: expected an absolute URL"),
        ({"HOC_TRUSTED_ORIGINS": "app.example.com"}, "HOC_TRUSTED_ORIGINS"),
    ],
    ids=named,
)
def test_a_mistake_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], why: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CommandError) as refused:
        check_application(load_settings())
    assert why in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_an_unknown_keyword_is_refused_too() -> None:
    unknown: Any = {"databse_url": "hidden"}
    with pytest.raises(ValueError, match="databse_url") as refused:
        Settings(**unknown)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres://u:p@h/x",
        "postgresql://u:p@/x?host=a:5432&host=b:5433",
        "postgresql+psycopg://u:p@h:5432/x",
        "postgresql+asyncpg://u@h/x?ssl=require",
        "postgresql://[::1]:5432,h/x?sslmode=require&channel_binding=prefer&client_encoding=utf8",
    ],
)
def test_a_right_database_url_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HOC_DATABASE_URL", url)
    assert load_settings().database_url is not None


def test_variables_that_kubernetes_sets_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service that is called `hoc` sets them in every container of its namespace."""
    for name in ("HOC_PORT", "HOC_SERVICE_HOST", "HOC_SERVICE_PORT_HTTP", "HOC_PORT_80_TCP_ADDR"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:80")
    load_settings()
