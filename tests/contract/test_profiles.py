"""Profiles, and merging preferences (RFC 7396)."""

from typing import Any

import pytest
from support.world import NOBODY, NOWHERE, World

from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError, StaleVersionError

# The examples of RFC 7396, Appendix A, whose target and patch are objects, and some more.
MERGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": 1}, {"a": 1}, {"e": 1, "a": 1}),
    ({"a": "foo"}, {"a": {"b": "c"}}, {"a": {"b": "c"}}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": {"b": {"c": 1, "d": 2}}, "e": True}, {"a": {"b": {"c": None}}}, {"a": {"b": {"d": 2}}, "e": True}),
    ({"a": 1}, {"a": None, "b": {"c": [None, {"d": None}]}}, {"b": {"c": [None, {"d": None}]}}),
    ({"n": 1}, {"n": 1.5, "z": 0, "t": False}, {"n": 1.5, "z": 0, "t": False}),
    ({"ü": "é"}, {"": "empty", "ü": "😀"}, {"": "empty", "ü": "😀"}),
]


@pytest.mark.parametrize(("target", "patch", "expected"), MERGES)
async def test_preferences_are_merged(
    world: World, target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    tenant_id, user_id = await world.tenant()
    async with world.transaction() as session:
        await world.engines.profiles.update(session, user_id, preferences=target)
        changed = await world.engines.profiles.update(session, user_id, preferences=patch)
        assert changed.value.preferences == expected
        assert (await world.engines.profiles.get(session, tenant_id, user_id)).value.preferences == expected


async def test_only_the_given_fields_are_set(world: World) -> None:
    tenant_id, user_id = await world.tenant()
    update = world.engines.profiles.update
    async with world.transaction() as session:
        fresh = await world.engines.profiles.get(session, tenant_id, user_id)
        assert (fresh.value.name, fresh.value.preferences) == (None, {})
        assert (fresh.value.tenant_id, fresh.value.role) == (tenant_id, "owner")
        world.clock.advance(minutes=1)
        await update(session, user_id, display_name="  Ada Lovelace ", preferences={"a": 1})
        world.clock.advance(minutes=1)
        await update(session, user_id, locale="de")
        changed = await update(session, user_id, timezone="Europe/Berlin")
        assert (changed.value.display_name, changed.value.timezone) == ("Ada Lovelace", "Europe/Berlin")
        assert changed.value.locale == "de"
        assert changed.value.preferences == {"a": 1}
        assert changed.value.updated_at == world.clock.now
        assert changed.version == fresh.version + 3
        profile = await world.engines.profiles.get(session, tenant_id, user_id)
        assert (profile.value.name, profile.version) == ("Ada Lovelace", changed.version)
        assert (profile.value.locale, fresh.value.locale) == ("de", None)
    names = [event.data["updated_fields"] for event in (await world.events(user_id=user_id))[-3:]]
    assert names == [["name", "preferences"], ["locale"], ["timezone"]]


@pytest.mark.parametrize(("field", "value"), [("timezone", "Europe/Berlin"), ("locale", "de")])
async def test_a_time_zone_or_locale_is_removed(world: World, field: str, value: str) -> None:
    _, user_id = await world.tenant()
    given: dict[str, Any] = {field: value}
    blank: dict[str, Any] = {field: None}
    async with world.transaction() as session:
        await world.engines.profiles.update(session, user_id, display_name="Ada", **given)
        removed = await world.engines.profiles.update(session, user_id, **blank)
        assert getattr(removed.value, field) is None
        assert removed.value.display_name == "Ada"
        assert await world.engines.profiles.update(session, user_id, **blank) == removed
    names = [event.data["updated_fields"] for event in (await world.events(user_id=user_id))[-1:]]
    assert names == [[field]]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("DE", "de"),
        ("pt-br", "pt-BR"),
        ("ES-419", "es-419"),
        ("ZH-hANT-tw", "zh-Hant-TW"),
        ("zh-CMN-hans-cn", "zh-cmn-Hans-CN"),
        ("de-CH-1901", "de-CH-1901"),
        ("sl-Rozaj-Biske-1994", "sl-rozaj-biske-1994"),
        ("en-U-CA-Buddhist-x-MINE", "en-u-ca-buddhist-x-mine"),
    ],
)
async def test_a_locale_is_stored_in_its_usual_case(world: World, given: str, stored: str) -> None:
    _, user_id = await world.tenant()
    async with world.transaction() as session:
        changed = await world.engines.profiles.update(session, user_id, locale=given)
        assert changed.value.locale == stored
        assert await world.engines.profiles.update(session, user_id, locale=stored) == changed


async def test_a_picture_is_set_kept_and_cleared(world: World) -> None:
    tenant_id, user_id = await world.tenant()
    update, url = world.engines.profiles.update, "https://example.com/ada.png?v=%C3%BC#x"
    longest = f"https://example.com/{'x' * 2_028}"
    async with world.transaction() as session:
        changed = await update(session, user_id, avatar_url=url.replace("https", "HTTPS"))
        assert changed.value.avatar_url == url
        assert await update(session, user_id, avatar_url=url) == changed
        assert (await update(session, user_id, timezone="Europe/Berlin")).value.avatar_url == url
        profile = await world.engines.profiles.get(session, tenant_id, user_id)
        assert (profile.value.avatar_url, profile.value.timezone) == (url, "Europe/Berlin")
        member = await world.facade.get_user_detail(session, tenant_id, user_id)
        assert member is not None
        assert member.avatar_url == url
        assert (await update(session, user_id, avatar_url=longest)).value.avatar_url == longest
        cleared = await update(session, user_id, avatar_url=None)
        assert cleared.value.avatar_url is None
        assert await world.engines.profiles.update(session, user_id, avatar_url=None) == cleared
    names = [event.data["updated_fields"] for event in (await world.events(user_id=user_id))[-4:]]
    assert names == [["avatar_url"], ["timezone"], ["avatar_url"], ["avatar_url"]]


async def test_a_profile_is_the_same_in_every_tenant(world: World) -> None:
    user_id = await world.add_user()
    tenants = [(await world.tenant(user_id))[0] for _ in range(2)]
    async with world.transaction() as session:
        await world.engines.profiles.update(session, user_id, display_name="Ada")
        for tenant_id in tenants:
            profile = await world.engines.profiles.get(session, tenant_id, user_id)
            assert (profile.value.tenant_id, profile.value.name) == (tenant_id, "Ada")


async def test_no_change_leaves_version_and_time(world: World) -> None:
    _, user_id = await world.tenant()
    update = world.engines.profiles.update
    async with world.transaction() as session:
        before = await update(
            session,
            user_id,
            display_name="Ada",
            timezone="UTC",
            locale="de",
            preferences={"a": {"b": [1, True]}, "n": 1},
        )
        world.clock.advance(minutes=1)
        unchanging: list[dict[str, Any]] = [
            {},
            {"display_name": "Ada"},
            {"timezone": "UTC"},
            {"locale": "de"},
            {"preferences": {}},
            {"preferences": {"a": {"b": [1, True]}, "missing": None}},
            {"preferences": {"n": 1.0}},
            {"display_name": " Ada ", "timezone": "UTC", "preferences": {"n": 1}},
        ]
        for same in unchanging:
            assert await update(session, user_id, **same) == before
        changed = await update(session, user_id, preferences={"n": True})
        assert changed.value.preferences["n"] is True, "true is not 1"
        assert changed.version == before.version + 1


async def test_a_stale_version_is_refused_and_changes_nothing(world: World) -> None:
    tenant_id, user_id = await world.tenant()
    update = world.engines.profiles.update
    async with world.transaction() as session:
        current = await update(session, user_id, display_name="Ada")
        for version in (current.version - 1, current.version + 1):
            with pytest.raises(StaleVersionError):
                await update(session, user_id, display_name="Eve", expected_version=version)
        profile = await world.engines.profiles.get(session, tenant_id, user_id)
        assert (profile.value.name, profile.version) == ("Ada", current.version)
        changed = await update(session, user_id, display_name="Bob", expected_version=current.version)
        assert changed.version == current.version + 1


@pytest.mark.parametrize(
    "field",
    [
        {"display_name": ""},
        {"display_name": "  "},
        {"display_name": "x" * 256},
        {"display_name": "a\nb"},
        {"display_name": "a\x00"},
        {"display_name": "\ud800"},
        {"timezone": ""},
        {"timezone": "Europe/Atlantis"},
        {"timezone": "../etc/passwd"},
        {"timezone": "UTC\x00"},
        {"locale": ""},
        {"locale": "d"},
        {"locale": "de_DE"},
        {"locale": "de-"},
        {"locale": "de\n"},
        {"locale": "\u017fr"},
        {"locale": "de-u"},
        {"locale": "x-private"},
        {"locale": "i-klingon"},
        {"locale": "en-x-aaaaaaaa-bbbbbbbb-cccccccc-dddd"},
        {"avatar_url": ""},
        {"avatar_url": "http://example.com/a.png"},
        {"avatar_url": "javascript:alert(1)"},
        {"avatar_url": "//example.com/a.png"},
        {"avatar_url": "https:///a.png"},
        {"avatar_url": "https://ada:secret@example.com/a.png"},
        {"avatar_url": "https://example.com:99999/a.png"},
        {"avatar_url": "https://[::1/a.png"},
        {"avatar_url": "https://example.com/a b.png"},
        {"avatar_url": "https://example.com/a.png\n"},
        {"avatar_url": "https://example.com/ä.png"},
        {"avatar_url": 'https://example.com/"onload="x'},
        {"avatar_url": f"https://example.com/{'x' * 2_029}"},
        {"preferences": {"a": "\x00"}},
        {"preferences": {"\x00": 1}},
        {"preferences": {"a": "\ud800"}},
        {"preferences": {"a": 2**64}},
        {"preferences": {"a": "x" * 16_384}},
    ],
)
async def test_bad_input_is_refused(world: World, field: dict[str, Any]) -> None:
    _, user_id = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.profiles.update(session, user_id, **field)


async def test_preferences_nest_eight_levels(world: World) -> None:
    _, user_id = await world.tenant()

    def nested(levels: int) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for _ in range(levels - 1):
            document = {"a": document}
        return document

    async with world.transaction() as session:
        changed = await world.engines.profiles.update(session, user_id, preferences=nested(8))
        assert changed.value.preferences == nested(8)
        for levels in (9, 5_000):
            with pytest.raises(InvalidInputError):
                await world.engines.profiles.update(session, user_id, preferences=nested(levels))


async def test_merged_preferences_are_capped_at_16_kib(world: World) -> None:
    """The cap is on the stored text: {"a": "…"} has nine bytes beside the string."""
    tenant_id, user_id = await world.tenant()
    update = world.engines.profiles.update
    async with world.transaction() as session:
        await update(session, user_id, preferences={"a": "é" * 4_000})  # two bytes each
        with pytest.raises(InvalidInputError):
            await update(session, user_id, preferences={"b": "x" * 8_367})
        full = await update(session, user_id, preferences={"b": "x" * 8_366})
        world.clock.advance(minutes=1)
        with pytest.raises(InvalidInputError):
            await update(session, user_id, display_name="Ada", preferences={"c": 1})
        profile = await world.engines.profiles.get(session, tenant_id, user_id)
        assert (profile.version, profile.value.name) == (full.version, None)
        room = await update(session, user_id, preferences={"a": None, "c": 1})
        assert room.value.preferences == {"b": "x" * 8_366, "c": 1}


async def test_answers_are_copies(world: World) -> None:
    tenant_id, user_id = await world.tenant()
    given: dict[str, Any] = {"a": {"b": [1]}}
    async with world.transaction() as session:
        changed = await world.engines.profiles.update(session, user_id, preferences=given)
        given["a"]["b"].append(2)
        changed.value.preferences["a"]["b"].append(3)
        profile = await world.engines.profiles.get(session, tenant_id, user_id)
        assert profile.value.preferences == {"a": {"b": [1]}}


async def test_a_profile_needs_an_active_account_and_membership(world: World) -> None:
    (tenant_id, owner), (other_id, _) = await world.tenant(), await world.tenant()
    gone = await world.join(tenant_id, owner)
    await world.deactivate(gone)
    async with world.transaction() as session:
        for tenant, user_id in ((other_id, owner), (tenant_id, NOBODY), (NOWHERE, owner), (tenant_id, gone)):
            with pytest.raises(NotFoundError):
                await world.engines.profiles.get(session, tenant, user_id)
        for user_id in (NOBODY, gone):
            with pytest.raises(NotFoundError):
                await world.engines.profiles.update(session, user_id, display_name="Ada")


async def test_a_profile_is_read_without_a_membership(world: World) -> None:
    user_id = await world.add_user()
    profiles = world.engines.profiles
    async with world.transaction() as session:
        updated = await profiles.update(
            session, user_id, display_name="Ada", timezone="Europe/Berlin", locale="de", preferences={"a": 1}
        )
        own = await profiles.own(session, user_id)
        assert own.version == updated.version
        assert (own.value.name, own.value.timezone, own.value.locale) == ("Ada", "Europe/Berlin", "de")
        assert (own.value.email_verified, own.value.preferences) == (True, {"a": 1})
    await world.deactivate(user_id)
    async with world.reading() as session:
        for nobody in (user_id, NOBODY):
            with pytest.raises(NotFoundError):
                await profiles.own(session, nobody)
