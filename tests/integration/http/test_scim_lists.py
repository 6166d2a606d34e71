"""A list shows each resource as reading it does: it takes another way, without a model of each resource."""

from typing import Any

from support.scim_client import ENTERPRISE, GROUP, SEARCH, USER, ScimClient

# RFC 7643, section 8.3: every attribute that a user can have.
EVERYTHING: dict[str, Any] = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "701984",
    "userName": "bjensen@example.com",
    "name": {
        "formatted": "Ms. Barbara J Jensen, III",
        "familyName": "Jensen",
        "givenName": "Barbara",
        "middleName": "Jane",
        "honorificPrefix": "Ms.",
        "honorificSuffix": "III",
    },
    "displayName": "Babs Jensen",
    "nickName": "Babs",
    "profileUrl": "https://login.example.com/bjensen",
    "emails": [
        {"value": "bjensen@Example.com", "type": "work", "primary": True},
        {"value": "babs@jensen.example.org", "type": "home", "display": ""},
    ],
    "addresses": [
        {
            "streetAddress": "100 Universal City Plaza",
            "locality": "Hollywood",
            "region": "CA",
            "postalCode": "91608",
            "country": "US",
            "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA",
            "type": "work",
            "primary": True,
        }
    ],
    "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
    "ims": [{"value": "someaimhandle", "type": "aim"}],
    "photos": [{"value": "https://photos.example.com/profilephoto/72930000000Ccne/F", "type": "photo"}],
    "userType": "Employee",
    "title": "Tour Guide",
    "preferredLanguage": "en-US",
    "locale": "en-US",
    "timezone": "America/Los_Angeles",
    "active": True,
    "password": "t1meMa$heen",
    "entitlements": [{"value": "door"}],
    "roles": [{"value": "guide", "primary": True}],
    "x509Certificates": [{"value": "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVM="}],
}


async def test_a_list_shows_what_reading_shows(directory: ScimClient) -> None:
    manager = await directory.create_user("manager")
    extension = {
        "employeeNumber": "701984",
        "costCenter": "4130",
        "organization": "Universal Studios",
        "division": "Theme Park",
        "department": "Tour Operations",
        "manager": {"value": manager["id"], "$ref": f"Users/{manager['id']}"},
    }
    user = await directory.done("POST", "/Users", EVERYTHING | {ENTERPRISE: extension})
    bare = await directory.create_user("bare", active=False, emails=[])
    members: list[dict[str, str]] = [{"value": user["id"], "display": "B"}, {"value": "unheard-of"}]
    group = await directory.done(
        "POST", "/Groups", {"schemas": [GROUP], "displayName": "Guides", "members": members}
    )
    empty = await directory.create_group("Empty")
    listed = await directory.done("POST", "/.search", {"schemas": [SEARCH]})
    shown = {each["id"]: each for each in listed["Resources"]}
    assert listed["itemsPerPage"] == listed["totalResults"] == len(shown) == 5
    for kind, resources in (("Users", (manager, user, bare)), ("Groups", (group, empty))):
        for one in resources:
            assert shown[one["id"]] == await directory.done("GET", f"/{kind}/{one['id']}")
    assert shown[user["id"]].keys() >= EVERYTHING.keys() - {"password"}
    chosen = await directory.done("GET", "/Users", params={"excludedAttributes": "title"})
    shown[user["id"]].pop("title")
    assert chosen["Resources"] == [shown[each["id"]] for each in chosen["Resources"]]
