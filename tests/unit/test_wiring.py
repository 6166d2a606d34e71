"""The account package's options, as its wiring reads them from settings."""

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import options_of
from hoc.settings import Settings


def test_unset_settings_give_the_default_options() -> None:
    """The in-memory facade and the environment's start from the same rules."""
    assert options_of(Settings.model_construct()) == Options()
