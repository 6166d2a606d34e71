"""Calls the running server through clients that openapi-python-client makes of its documents."""

import json
import sys
import time

from hoc_console_client import AuthenticatedClient as Console
from hoc_console_client.api.invitations import invite_user
from hoc_console_client.api.projects import get_project
from hoc_console_client.api.users import change_role, list_users
from hoc_console_client.models import ChangeRole, InviteUser, Role
from hoc_identity_client import AuthenticatedClient as Identity
from hoc_identity_client.api.identity import ensure_account, get_account, update_account
from hoc_identity_client.models import AccountEnsureRequest, AccountUpdateRequest

url, admin, owner, member, tenant_id = sys.argv[1:]
identity = Identity(base_url=f"{url}/api/v1", token=admin)
console = Console(base_url=f"{url}/accounts", token=owner)

name = f"py-{time.time_ns()}"
new = AccountEnsureRequest(user_id=name, email=f"{name}@example.com", name="Pia")
account = ensure_account.sync(client=identity, body=new)
tag = get_account.sync_detailed(account.user_id, client=identity).headers["etag"]
body = AccountUpdateRequest(name="Philippa")
renamed = update_account.sync(account.user_id, client=identity, body=body, if_match=tag)
stale = update_account.sync(account.user_id, client=identity, body=body, if_match=tag)

invited = invite_user.sync(client=console, body=InviteUser(email=new.email, role=Role.VIEWER))
invite_user.sync(client=console, body=InviteUser(email=f"2-{new.email}"))
users = list_users.sync(client=console, role=Role.OWNER)
project = get_project.sync(tenant_id, client=console)
changed = change_role.sync(member, client=console, body=ChangeRole(role=Role.VIEWER))
sys.stdout.write(
    json.dumps(
        {
            "renamed": renamed.name,
            "stale": stale.code,
            "invited": invited.role.value,
            "owners": len(users.items),
            "tokens": project.max_tokens_per_month,
            "role": changed.role.value,
        }
    )
)
