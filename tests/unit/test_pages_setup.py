"""What the pages need before they can be served, and what is said where it is missing."""

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from hoc.asgi import Accounts
from hoc.cli.configuration import check_application
from hoc.cli.errors import CommandError
from hoc.cus.account.L2_api.authentication import GatewayBackend
from hoc.settings import Settings

GATEWAY = "a secret of the gateway"


def settings(**given: object) -> Settings:
    known = {
        "database_url": SecretStr("postgresql://user@127.0.0.1/none"),
        "send_mail": False,
        "console_secret": SecretStr("s" * 32),
    }
    return Settings.model_validate(known | given)


@pytest.fixture(params=["jinja2", "itsdangerous"])
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library of the extra, which is as if it were not installed."""
    library = str(request.param)
    monkeypatch.setitem(sys.modules, library, None)
    for module in [name for name in sys.modules if name.startswith("hoc.cus.account.L2_api.pages")]:
        monkeypatch.delitem(sys.modules, module)
    return library


def test_a_host_is_told_of_the_missing_extra(missing: str) -> None:
    with pytest.raises(ValueError, match=rf"{missing}: install hoc-accounts\[console\]"):
        Accounts(settings(), pages_authentication=GatewayBackend(secret=GATEWAY))


@pytest.mark.parametrize("is_development", [False, True])
def test_a_server_is_told_of_the_missing_extra(missing: str, tmp_path: Path, *, is_development: bool) -> None:
    given = {"development": True, "data_dir": tmp_path} if is_development else {"gateway_secret": GATEWAY}
    with pytest.raises(CommandError, match=rf"{missing}: install hoc-accounts\[console\]") as refusal:
        check_application(settings(console=True, **given))
    assert "\n" not in str(refusal.value)


def test_a_server_that_cannot_tell_people_says_so() -> None:
    with pytest.raises(CommandError, match="HOC_GATEWAY_SECRET"):
        check_application(settings(console=True, development=False))
    check_application(settings(console=True))  # in development, a link signs in
