"""The account package's options, as its wiring reads them from settings."""

import pytest

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import options_of
from hoc.settings import Settings


def test_unset_settings_give_the_default_options() -> None:
    """The in-memory facade and the environment's start from the same rules."""
    assert options_of(Settings.model_construct()) == Options()


def test_the_portals_link_has_the_tenant() -> None:
    pattern = "{public_url}/portal?of={tenant_id}"
    settings = Settings.model_construct(billing_portal_url=pattern, public_url="https://app.example.com/")
    assert options_of(settings).billing_portal_url == "https://app.example.com/portal?of={tenant_id}"
    for wrong in (
        "https://billing.example.com",
        "/portal/{tenant_id}",
        "https://{user_id}.example/{tenant_id}",
    ):
        with pytest.raises(ValueError, match="HOC_BILLING_PORTAL_URL"):
            options_of(Settings.model_construct(billing_portal_url=wrong))
