"""An owner's new address over HTTP: it proves nothing until the link mailed to it is used."""

from support.console import Console, problem_of

CONFIRM = "/accounts/email-changes/confirm"


async def test_an_address_that_is_not_confirmed_gets_nothing(console: Console) -> None:
    """Somebody sets the address of an invited person, and has the invitation's token accepted."""
    mallory, victim = await console.add_user(email_verified=False), console.new_email()
    own = console.as_(mallory)
    set_to_victim = await console.identity.put(
        f"/accounts/profile/{mallory}", json={"email": victim}, headers=own
    )
    assert set_to_victim.status_code == 200
    assert set_to_victim.json()["email"] != victim

    tenant_id, owner = await console.tenant()
    invitation_id, token = await console.invite(tenant_id, owner, victim, "admin")
    accepted = await console.client.post(f"/invitations/{invitation_id}/accept", json={"token": token})
    assert accepted.status_code == 200
    assert await console.role_of(tenant_id, mallory) is None
    users = await console.client.get("/users", headers=console.as_(mallory, tenant_id))
    assert users.status_code == 403

    person = {"user_id": console.new_id(), "email": victim, "email_verified": True, "name": "Victim"}
    ensured = await console.identity.post(
        "/accounts/ensure", json=person, headers=console.scoped("accounts:write")
    )
    assert ensured.json()["email"] == victim
    assert await console.role_of(tenant_id, ensured.json()["user_id"]) == "admin"


async def test_an_owner_sees_cancels_and_confirms_a_change(console: Console) -> None:
    user_id, new = await console.add_user(), console.new_email()
    own, profile = console.as_(user_id), f"/accounts/profile/{user_id}"
    pending = f"{profile}/email-change"
    for ends_it in ("DELETE", "POST"):
        await console.identity.put(profile, json={"name": ends_it, "email": new}, headers=own)
        token = await console.draw_email_token(user_id)
        shown = await console.identity.get(pending, headers=own)
        assert (shown.status_code, shown.json()["email"]) == (200, new)
        if ends_it == "DELETE":
            assert (await console.identity.delete(pending, headers=own)).status_code == 200
            dead = await console.identity.post(CONFIRM, json={"token": token})
            assert (dead.status_code, problem_of(dead)["code"]) == (404, "not_found")
        else:
            confirmed = [await console.identity.post(CONFIRM, json={"token": token}) for _ in range(2)]
            # Whoever has the link learns nothing about the account.
            assert [answer.json() for answer in confirmed] == [{"message": "The address is confirmed"}] * 2
        assert (await console.identity.get(pending, headers=own)).status_code == 404
    stored = (await console.identity.get(profile, headers=own)).json()
    assert (stored["name"], stored["email"]) == ("POST", new)


async def test_only_a_writer_says_that_an_address_is_verified(console: Console) -> None:
    user_id, new = await console.add_user(), console.new_email()
    profile, body = f"/accounts/profile/{user_id}", {"email": new, "email_verified": True}
    refused = await console.identity.put(profile, json=body, headers=console.as_(user_id))
    assert (refused.status_code, problem_of(refused)["code"]) == (403, "missing_scope")
    for scope in ("accounts:write", "accounts:admin"):
        body["email"] = console.new_email()
        changed = await console.identity.put(profile, json=body, headers=console.scoped(scope))
        assert changed.json()["email"] == body["email"]


async def test_the_changes_of_an_address_are_limited(console: Console) -> None:
    user_id = await console.add_user()
    answers = [
        await console.identity.put(
            f"/accounts/profile/{user_id}",
            json={"name": f"Name {number}", "email": console.new_email()},
            headers=console.as_(user_id),
        )
        for number in range(6)
    ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert problem_of(answers[-1])["code"] == "limit_exceeded"
    assert "retry-after" in answers[-1].headers
    account = await console.accounts.get_account_profile(user_id)
    assert account.name == "Name 4", "nothing of a refused request is stored"
