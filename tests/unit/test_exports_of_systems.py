"""The exports of other systems, in the shapes that their documentation shows, read as rows of accounts."""

import io
import json
from typing import Any, cast

import pytest

from hoc.bulk.exports import ExportOptions, ExportRows, System
from hoc.bulk.files import FileError, Record, Rejection

AUTH0: dict[str, Any] = {
    "user_id": "auth0|5f7c8ec7c33c6c004bbafe82",
    "email": "ada@example.com",
    "email_verified": True,
    "name": "Ada Lovelace",
    "created_at": "2020-10-06T15:33:27.000Z",
    "last_login": "2021-01-02T03:04:05.000Z",
    "identities": [
        {"provider": "auth0", "user_id": "5f7c8ec7c33c6c004bbafe82", "connection": "db", "isSocial": False},
        {"provider": "google-oauth2", "user_id": "1157", "connection": "google-oauth2", "isSocial": True},
    ],
    "app_metadata": {"plan": "free"},
}
CLERK = (
    "id,first_name,last_name,username,primary_email_address,primary_phone_number,verified_email_addresses,"
    "unverified_email_addresses,verified_phone_numbers,unverified_phone_numbers,totp_secret,password_digest,"
    "password_hasher\n"
    "user_1,Ada,Lovelace,,ada@example.com,,ada@example.com,,,,,$2a$10$x,bcrypt\n"
    "user_2,,,grace,grace@example.com,,,grace@example.com,,,,,\n"
)
COGNITO = (
    "cognito:username,name,given_name,family_name,middle_name,nickname,preferred_username,profile,picture,"
    "website,email,email_verified,gender,birthdate,zoneinfo,locale,phone_number,phone_number_verified,address,"
    "updated_at,cognito:mfa_enabled\n"
    "ada,,Ada,Lovelace,,,,,,,ada@example.com,TRUE,,,Europe/London,en-GB,,FALSE,,,FALSE\n"
)
KEYCLOAK_USER: dict[str, Any] = {
    "id": "8f1b",
    "username": "ada",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "email": "ada@example.com",
    "emailVerified": True,
    "enabled": True,
    "createdTimestamp": 1601998407000,
    "attributes": {"locale": ["en"]},
    "federatedIdentities": [{"identityProvider": "google", "userId": "1157", "userName": "a"}],
    "realmRoles": ["default-roles-acme"],
    "groups": ["/staff"],
}
REALM: dict[str, Any] = {
    "id": "acme",
    "displayName": "users",
    "roles": {"realm": [{"name": "users"}], "client": {"users": []}},
    "users": [KEYCLOAK_USER, KEYCLOAK_USER | {"id": "8f1c", "firstName": 'a "}] \\', "enabled": False}],
    "clients": [{"clientId": "users"}],
}


def read(system: str, content: str, **options: Any) -> list[Record | Rejection]:
    file = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(content.encode())))
    return list(ExportRows(file, System(system), ExportOptions(**options)))


def records(system: str, content: str, **options: Any) -> list[Record]:
    return [row for row in read(system, content, **options) if isinstance(row, Record)]


def test_auth0s_json_lines_are_read() -> None:
    [ada, blocked] = records("auth0", f"{json.dumps(AUTH0)}\n{json.dumps(AUTH0 | {'blocked': True})}\n")
    assert ada.values == {
        "user_id": "auth0|5f7c8ec7c33c6c004bbafe82",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "is_active": True,
        "created_at": "2020-10-06T15:33:27.000Z",
        "last_login_at": "2021-01-02T03:04:05.000Z",
        "locale": None,
        "timezone": None,
        "email_verified": False,
    }
    assert (blocked.line, blocked.values["is_active"]) == (2, False)


def test_auth0s_titles_are_read_as_fields() -> None:
    titled = {
        "Id": "auth0|1",
        "Given Name": "Ada",
        "Family Name": "L",
        "Email": "a@b.c",
        "Email Verified": True,
    }
    [ada] = records("auth0", json.dumps(titled), trusts_verified=True)
    assert (ada.values["user_id"], ada.values["name"]) == ("auth0|1", "Ada L")
    assert ada.values["email_verified"] is True


def test_clerks_csv_is_read() -> None:
    ada, grace = records("clerk", CLERK, trusts_verified=True)
    assert (ada.values["user_id"], ada.values["name"]) == ("user_1", "Ada Lovelace")
    assert (ada.values["email_verified"], grace.values["email_verified"]) == (True, False)
    assert (grace.line, grace.values["name"]) == (3, "grace")


def test_cognitos_csv_is_read() -> None:
    [ada] = records("cognito", COGNITO, trusts_verified=True)
    assert (ada.values["user_id"], ada.values["name"]) == ("ada", "Ada Lovelace")
    assert (ada.values["timezone"], ada.values["locale"]) == ("Europe/London", "en-GB")
    assert ada.values["email_verified"] is True


@pytest.mark.parametrize("indent", [None, 2])
def test_keycloaks_realm_is_read(indent: int | None) -> None:
    ada, other = records("keycloak", json.dumps(REALM, indent=indent), trusts_verified=True)
    assert (ada.values["user_id"], ada.values["name"]) == ("8f1b", "Ada Lovelace")
    assert ada.values["created_at"] == "2020-10-06T15:33:27+00:00"
    assert (ada.values["locale"], ada.values["email_verified"]) == ("en", True)
    assert (other.values["user_id"], other.values["is_active"]) == ("8f1c", False)
    assert other.values["name"].startswith('a "}] \\')
    assert (other.line > ada.last_line) is (indent is not None)


def test_a_realm_is_read_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever byte a chunk ends on: within a text, behind a backslash, or within an object."""
    content = json.dumps(REALM)
    whole = records("keycloak", content)
    for size in range(1, len(content)):
        monkeypatch.setattr("hoc.bulk.json_array._CHUNK", size)
        assert records("keycloak", content) == whole


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{}", "has no array 'users'"),
        ('{"users": [{"id": "1"}', "ends within 'users'"),
        ('{"a": {"users": [{"id": "1"}]}}', "has no array"),
        ('[{"realm": "a", "users": [{"id": "1"}]}]', "in its outermost object"),
    ],
)
def test_a_realm_without_its_users_is_refused(content: str, why: str) -> None:
    with pytest.raises(FileError, match=why):
        read("keycloak", content)


def test_an_object_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.bulk.json_array.MAX_OBJECT", 1_000)
    monkeypatch.setattr("hoc.bulk.json_array._CHUNK", 100)
    with pytest.raises(FileError, match="never closed"):
        read("keycloak", '{"users": [{"id": "' + "x" * 5_000)


def test_an_address_is_verified_by_an_option_only() -> None:
    for system, content in (("auth0", json.dumps(AUTH0)), ("clerk", CLERK), ("cognito", COGNITO)):
        assert records(system, content)[0].values["email_verified"] is False


def test_identities_are_linked_as_the_options_say() -> None:
    file = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(json.dumps(AUTH0).encode())))
    rows = ExportRows(file, System.AUTH0, ExportOptions(issuer="https://acme.eu.auth0.com/"))
    [record] = [row for row in rows if isinstance(row, Record)]
    assert record.identities == (("https://acme.eu.auth0.com/", AUTH0["user_id"]),)
    assert rows.left_out == {"google-oauth2": 1}
    google = "https://accounts.google.com"
    [record] = records("auth0", json.dumps(AUTH0), links={"google-oauth2": google})
    assert record.identities == ((google, "1157"),)


def test_a_bad_line_loses_no_other() -> None:
    lines = f"{json.dumps(AUTH0)}\nnot json\n[1]\n{json.dumps(AUTH0 | {'identities': 'x'})}\n"
    assert [str(row) for row in read("auth0", lines) if isinstance(row, Rejection)] == [
        "line 2: is not JSON",
        "line 3: is not a JSON object",
    ]
    assert [record.line for record in records("auth0", lines)] == [1, 4]
