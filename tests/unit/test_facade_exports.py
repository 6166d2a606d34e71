"""The facade's module is what the console specification names: exports, fields in their order, methods."""

import dataclasses
import inspect
import typing

import pytest

from hoc.cus.account.L5_engines import accounts_facade
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade, get_accounts_facade

FIELDS = {
    "ProjectSummaryResult": "project_id name description status plan created_at updated_at",
    "ProjectsListResult": "items total has_more filters_applied",
    "ProjectDetailResult": (
        "project_id name slug description status plan max_workers max_runs_per_day max_concurrent_runs"
        " max_tokens_per_month max_api_keys runs_today runs_this_month tokens_this_month onboarding_state"
        " onboarding_complete created_at updated_at"
    ),
    "UserSummaryResult": "user_id email name role status created_at last_login_at",
    "UsersListResult": "items total has_more filters_applied",
    "UserDetailResult": (
        "user_id email name avatar_url role status email_verified oauth_provider membership_created_at"
        " invited_by can_manage_keys can_run_workers can_view_runs created_at updated_at last_login_at"
    ),
    "TenantUserResult": "user_id email name role joined_at",
    "TenantUsersListResult": "users total",
    "ProfileResult": "user_id email name avatar_url tenant_id tenant_name role created_at preferences",
    "ProfileUpdateResult": "user_id email display_name timezone preferences updated_at",
    "BillingSummaryResult": (
        "plan status billing_period current_period_start current_period_end usage_this_period"
        " next_invoice_date max_runs_per_day max_tokens_per_month runs_this_month tokens_this_month"
    ),
    "InvoiceSummaryResult": "invoice_id period_start period_end amount_cents status description",
    "InvoiceListResult": "invoices total message",
    "SupportContactResult": "email hours response_time",
    "SupportTicketResult": (
        "id subject description category priority status created_at updated_at resolution resolved_at"
    ),
    "SupportTicketListResult": "tickets total",
    "InvitationResult": "id email role status created_at expires_at invited_by",
    "InvitationListResult": "invitations total",
    "AcceptInvitationResult": "success message tenant_id role",
    "AccountsErrorResult": "error message status_code",
}

MAY_BE_NONE = {
    "ProjectSummaryResult": {"description", "updated_at"},
    "ProjectDetailResult": {"description", "updated_at"},
    "UserSummaryResult": {"name", "last_login_at"},
    "UserDetailResult": {"name", "avatar_url", "oauth_provider", "invited_by", "updated_at", "last_login_at"},
    "TenantUserResult": {"name"},
    "ProfileResult": {"name", "avatar_url", "tenant_name", "preferences"},
    "ProfileUpdateResult": {"display_name", "timezone"},
    "BillingSummaryResult": {"current_period_start", "current_period_end", "next_invoice_date"},
    "InvoiceListResult": {"message"},
    "SupportTicketResult": {"resolution", "resolved_at"},
    "AcceptInvitationResult": {"tenant_id", "role"},
}

# Positional parameters after self, then keyword ones with their defaults; … stands for required.
SIGNATURES: dict[str, tuple[str, dict[str, object]]] = {
    "list_projects": ("session tenant_id", {"status": None, "limit": 50, "offset": 0}),
    "get_project_detail": ("session tenant_id project_id", {}),
    "list_users": ("session tenant_id", {"role": None, "status": None, "limit": 50, "offset": 0}),
    "get_user_detail": ("session tenant_id user_id", {}),
    "list_tenant_users": ("session tenant_id", {}),
    "update_user_role": ("session tenant_id caller_user_id target_user_id new_role", {}),
    "remove_user": ("session tenant_id caller_user_id target_user_id", {}),
    "get_profile": ("session tenant_id user_id", {}),
    "update_profile": (
        "session user_id",
        {"display_name": None, "timezone_str": None, "preferences": None},
    ),
    "get_billing_summary": ("session tenant_id", {}),
    "get_billing_invoices": ("session tenant_id", {}),
    "get_support_contact": ("", {}),
    "create_support_ticket": (
        "session tenant_id user_id",
        {"subject": ..., "description": ..., "category": "general", "priority": "medium"},
    ),
    "list_support_tickets": ("session tenant_id", {"status": None}),
    "invite_user": ("session tenant_id caller_user_id", {"email": ..., "role": "member"}),
    "list_invitations": ("session tenant_id caller_user_id", {"status": None}),
    "accept_invitation": ("session invitation_id token", {}),
}


def test_the_module_exports_exactly_what_is_specified() -> None:
    assert sorted(accounts_facade.__all__) == sorted([*FIELDS, "AccountsFacade", "get_accounts_facade"])
    assert all(hasattr(accounts_facade, name) for name in accounts_facade.__all__)


@pytest.mark.parametrize("name", FIELDS)
def test_a_result_has_its_fields_in_order(name: str) -> None:
    result = getattr(accounts_facade, name)
    assert [field.name for field in dataclasses.fields(result)] == FIELDS[name].split()
    optional = {
        field for field, kind in typing.get_type_hints(result).items() if type(None) in typing.get_args(kind)
    }
    assert optional == MAY_BE_NONE.get(name, set())
    assert "__slots__" not in vars(result), "with slots, orjson takes three times as long"
    assert result.__dataclass_params__.frozen


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_takes_its_parameters(name: str) -> None:
    method = getattr(AccountsFacade, name)
    positional, keywords = SIGNATURES[name]
    signature = inspect.signature(method)
    required = ["self", *positional.split()]
    assert list(signature.parameters)[: len(required)] == required
    arguments = {key: object() for key in keywords}
    signature.bind(*required, **arguments)
    for key, default in keywords.items():
        parameter = signature.parameters[key]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default == (inspect.Parameter.empty if default is ... else default)
    beyond = set(signature.parameters) - set(required) - set(keywords)
    assert all(signature.parameters[key].default is not inspect.Parameter.empty for key in beyond)
    assert inspect.iscoroutinefunction(method) is (name != "get_support_contact")


def test_the_facade_has_the_specified_methods() -> None:
    public = {name for name, _ in inspect.getmembers(AccountsFacade, inspect.isfunction) if name[0] != "_"}
    assert public == SIGNATURES.keys()
    assert len(public) + 1 == 18, "with __init__"


def test_there_is_one_facade() -> None:
    assert isinstance(get_accounts_facade(), AccountsFacade)
    assert get_accounts_facade() is get_accounts_facade()
