"""How an application that mounts hoc sends its mail, or none."""

import sys
from email.message import EmailMessage
from pathlib import Path

import pytest
from pydantic import SecretStr

from hoc.asgi import Accounts
from hoc.settings import Settings


def settings(**given: object) -> Settings:
    database = SecretStr("postgresql://user@127.0.0.1/none")
    return Settings.model_validate({"database_url": database} | given)


def without(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """As if it were not installed."""
    monkeypatch.setitem(sys.modules, library, None)
    for module in ("templating", "smtp"):
        monkeypatch.delitem(sys.modules, f"hoc.mail.{module}", raising=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mail_templates": Path("/nowhere")}, "HOC_MAIL_TEMPLATES"),
        ({"mail_language": "fr"}, "HOC_MAIL_LANGUAGE"),
        ({"mail_from": "not an address"}, "HOC_MAIL_FROM"),
        ({"public_url": "app.example.com"}, "public_url"),
        ({"invitation_url": "{public_url}/{token}"}, "HOC_INVITATION_URL"),
        ({"email_change_url": "{public_url}/{tokn}"}, "HOC_EMAIL_CHANGE_URL"),
    ],
)
def test_a_wrong_setting_of_mail_is_refused_at_start(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Accounts(settings(**given))


@pytest.mark.parametrize("library", ["jinja2", "babel", "aiosmtplib"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    without(monkeypatch, library)
    with pytest.raises(ValueError, match=rf"{library}: install hoc-accounts\[mail\]"):
        Accounts(settings(smtp_url=SecretStr("smtp://127.0.0.1")))


def test_a_host_that_sends_no_mail_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "jinja2")
    Accounts(settings(send_mail=False))


def test_a_hosts_own_sender_needs_no_smtp_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sender:
        async def send(self, message: EmailMessage) -> None: ...

    without(monkeypatch, "aiosmtplib")
    Accounts(settings(smtp_url=SecretStr("smtp://127.0.0.1")), mail=Sender())


@pytest.mark.parametrize("is_on", [False, True])
def test_links_are_served_only_if_a_setting_says_so(*, is_on: bool) -> None:
    accounts = Accounts(settings(invitation_links=is_on))
    served = [*accounts.console_app.routes, *accounts.identity_app.routes]
    links = {"issue_invitation_link", "issue_email_change_link"}
    assert links & {getattr(route, "name", "") for route in served} == (links if is_on else set())


def test_links_that_are_passed_on_are_of_the_configured_pattern() -> None:
    given = settings(public_url="https://app.example.com", email_change_url="{public_url}/confirm#{token}")
    service = Accounts(given).identity_service
    assert service.email_change_url == "https://app.example.com/confirm#{token}"
