"""Users' input in an invitation mail stays text: it adds no header, markup or link."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from hoc.cus.account.L5_engines.link_patterns import filled, link_pattern
from hoc.mail.invitation_mail import InvitationMail, compose_invitation
from hoc.mail.message import MAX_NAME_LENGTH, MailWriter, link_in, parse_sender
from hoc.mail.sender import MailRejectedError
from hoc.mail.templating import MailTemplates

SENDER = "Accounts <accounts@hoc.example>"
TOKEN = "t0k.en-_~" + "x" * 150
LINK = f"https://app.example.com/invitations/0198c0de#token={TOKEN}"
TEMPLATES = MailTemplates()
MAIL = InvitationMail(
    to="ada@example.org",
    tenant_name="Analytical Engines",
    inviter_name="Charles",
    role="admin",
    invitation_id="0198c0de",
    token=TOKEN,
    link=LINK,
    expires_at=datetime(2031, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
)
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Hoc-Invitation-Id",
    "X-Hoc-Link",
    "MIME-Version",
    "Content-Type",
]

attacks = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(
            [
                "\r\nBcc: eve@evil.example",
                "\r\n\r\n<script>",
                "\x85To: x@y",
                "\u2028Cc: x@y",
                "=?utf-8?q?=0D=0ABcc:_eve@evil.example?=",
                "=?",
                "?=",
                "https://evil.example/invitations/0198c0de#token=stolen",
                "\n",
                '"',
                "<b>&amp;",
                "ß",
                "\u202e",
                "\ud800",
                " " * 70,
                "x" * 100,
            ]
        ),
    ),
    max_size=6,
).map("".join)


def compose(mail: InvitationMail, sender: str) -> EmailMessage:
    return compose_invitation(mail, MailWriter(sender, TEMPLATES))


def parse(content: bytes) -> EmailMessage:
    return message_from_bytes(content, EmailMessage, policy=policy.SMTP)


def part(message: EmailMessage, subtype: str) -> str:
    body = message.get_body((subtype,))
    assert body is not None
    return str(body.get_content())


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.targets: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.targets += [value for name, value in attrs if name == "href"]


def test_a_mail_names_inviter_tenant_role_and_expiry() -> None:
    message = parse(compose(MAIL, SENDER).as_bytes())

    assert message["From"] == SENDER
    assert message["To"] == "ada@example.org"
    assert message["Subject"] == "You are invited to Analytical Engines"
    assert message["X-Hoc-Invitation-Id"] == "0198c0de"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    text = part(message, "plain")
    assert "Charles has invited you to join Analytical Engines as admin." in text
    assert "February 3, 2031, 2:05:00\u202fAM UTC" in text
    assert LINK in text.splitlines()
    assert link_in(message) == (LINK, TOKEN)
    assert LINK in part(message, "html")
    assert TOKEN not in str(message["X-Hoc-Link"]), "mail servers log headers"


def test_a_mail_without_names_is_still_readable() -> None:
    message = compose(replace(MAIL, inviter_name=None, tenant_name="\u200b\n"), SENDER)
    assert "You have been invited to join a team as admin." in part(message, "plain")


def test_every_token_has_its_message_id_and_a_retry_repeats_it() -> None:
    first, retried = compose(MAIL, SENDER), compose(MAIL, SENDER)
    rotated = compose(replace(MAIL, token="another"), SENDER)

    assert first["Message-ID"] == retried["Message-ID"] != rotated["Message-ID"]
    assert str(first["Message-ID"]).endswith("@hoc.example>")
    assert TOKEN not in str(first["Message-ID"])


@settings(deadline=None)
@given(tenant=attacks, inviter=st.none() | attacks, role=attacks)
@example(tenant="=?utf-8?q?a=0D=0ABcc:_eve@evil.example?=", inviter=None, role="admin")
def test_names_add_no_header_no_markup_and_no_link(tenant: str, inviter: str | None, role: str) -> None:
    mail = replace(MAIL, tenant_name=tenant, inviter_name=inviter, role=role)
    message = parse(compose(mail, SENDER).as_bytes())

    assert message.keys() == HEADERS
    assert not message.defects
    assert len(str(message["Subject"]).splitlines()) == 1
    assert str(message["To"]) == "ada@example.org"
    assert len(part(message, "plain").splitlines()) == 7
    assert link_in(message) == (LINK, TOKEN)
    html = Tags()
    html.feed(part(message, "html"))
    assert html.opened == ["html", "meta", "p", "p", "a", "p"]
    assert html.targets == [LINK]


@settings(deadline=None)
@given(attacks)
def test_a_subject_arrives_as_one_bounded_line(tenant: str) -> None:
    sent = compose(replace(MAIL, tenant_name=tenant), SENDER)
    subject = str(sent["Subject"])

    assert len(subject) <= len("You are invited to ") + 2 * MAX_NAME_LENGTH
    assert subject == " ".join(subject.split())
    assert not {unicodedata.category(char) for char in subject} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(subject) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"), "bidi overrides"


@pytest.mark.parametrize("name", ["Société Générale", "株式会社日立製作所" * 5, "क्\u200dष", "👩‍🚀 Space"])
def test_a_name_in_any_script_arrives_as_written(name: str) -> None:
    assert str(parse(compose(replace(MAIL, tenant_name=name), SENDER).as_bytes())["Subject"]).endswith(name)


@pytest.mark.parametrize(
    ("name", "mailed"),
    [
        ("Acme Inc.", "Acme Inc."),
        ("St. Mary's", "St. Mary's"),
        (".NET: the 1st", ".NET: the 1st"),
        ("Node.js", "Node. js"),
        ("evil.example", "evil. example"),
        ("www.evil.example", "www. evil. example"),
        ("sign in at https://evil.example/login", "sign in at https: //evil. example/login"),
        (
            "evil\uff0eexample\u3002com\uff61x\u2024y\ufe52z",
            "evil\uff0e example\u3002 com\uff61 x\u2024 y\ufe52 z",
        ),
        ("mailto\uff1aeve@evil", "mailto\uff1a eve@ evil"),
        ("evil\u200d.\u200dexample", "evil\u200d. \u200dexample"),
        ("evil.\u200bexample", "evil. example"),
    ],
    ids=ascii,
)
def test_a_name_in_a_mail_is_no_link(name: str, mailed: str) -> None:
    message = parse(compose(replace(MAIL, tenant_name=name, inviter_name=name), SENDER).as_bytes())
    assert str(message["Subject"]) == f"You are invited to {mailed}"
    sentence = f"{mailed} has invited you to join {mailed} as admin."
    assert sentence in part(message, "plain").splitlines()
    assert str(escape(sentence)) in part(message, "html")


@settings(deadline=None)
@given(attacks)
def test_only_the_link_in_a_mail_can_be_followed(name: str) -> None:
    message = compose(replace(MAIL, tenant_name=name, inviter_name=name), SENDER)
    texts = [str(message["Subject"]), part(message, "plain").replace(LINK, "")]
    assert [found for text in texts for found in re.findall(r"\S[.@][^\s…]|\S:[^\s\d…]", text)] == []


@pytest.mark.parametrize(
    ("stored", "mailed"),
    [
        ("Ada.Lovelace+x@Example.org", "Ada.Lovelace+x@Example.org"),
        ("ada@localhost", "ada@localhost"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),  # IDNA 2008; the 2003 codec would mail strasse
        ("jörg@bücher.example", "jörg@xn--bcher-kva.example"),
        ("\u212aelvin@example.org", "\u212aelvin@example.org"),  # NFC would make it another account: Kelvin
    ],
)
def test_mail_goes_to_the_stored_address(stored: str, mailed: str) -> None:
    message = compose(replace(MAIL, to=stored), SENDER)
    assert [address.addr_spec for address in message["To"].addresses] == [mailed]
    assert f"To: {mailed}".encode() in message.as_bytes()


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example.org\r\nBcc: eve@evil.example",
        "ada@example.org\n",
        "a\x00da@example.org",
        "ada@example.org, eve@evil.example",
        "eve@evil.example@example.org",
        "<ada@example.org>",
        '"a b"@example.org',
        "=?utf-8?q?x=0D=0ABcc=3A_eve?=@example.org",
        "ada@[127.0.0.1]",
        "ada@\u2028example.org",
        "ada@-bü-.example",
        "\ud800@example.org",
    ],
)
def test_an_invalid_address_is_refused_and_not_quoted(to: str) -> None:
    with pytest.raises(MailRejectedError) as refused:
        compose(replace(MAIL, to=to), SENDER)
    assert str(refused.value) == "mail cannot be sent to the recipient's address"


@settings(deadline=None)
@given(local=attacks, domain=attacks)
def test_no_address_adds_a_header(local: str, domain: str) -> None:
    try:
        message = compose(replace(MAIL, to=f"{local}@{domain}"), SENDER)
    except MailRejectedError:
        return
    assert len(message["To"].addresses) == 1
    assert message_from_bytes(message.as_bytes(), EmailMessage, policy=policy.SMTPUTF8).keys() == HEADERS


@pytest.mark.parametrize(
    "sender", ["", "Accounts", "Accounts <accounts>", "a@b\r\nBcc: c@d", "a@b, c@d", "<a@b> c"]
)
def test_an_invalid_sender_is_a_configuration_error(sender: str) -> None:
    with pytest.raises(ValueError, match="HOC_MAIL_FROM"):
        parse_sender(sender)


@pytest.mark.parametrize(
    ("sender", "header"),
    [
        ("hoc@localhost", "hoc@localhost"),
        ("Accounts <hoc@localhost>", "Accounts <hoc@localhost>"),
        ('"Acme, Inc." <hoc@acme.example>', '"Acme, Inc." <hoc@acme.example>'),
        ("Müller <büro@müller.example>", "Müller <büro@xn--mller-kva.example>"),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(sender: str, header: str) -> None:
    message = compose(MAIL, sender)
    assert str(message_from_bytes(message.as_bytes(), EmailMessage, policy=policy.SMTPUTF8)["From"]) == header


INVITATION_URL = "{public_url}/invitations/{invitation_id}#token={token}"


def pattern(of: str = INVITATION_URL, public_url: str = "https://app.example.com") -> str:
    return link_pattern("HOC_INVITATION_URL", of, public_url, "invitation_id", "token")


def test_a_link_has_its_token_in_the_fragment() -> None:
    link = filled(pattern(public_url="https://x/console/"), invitation_id="id/../x", token="a+b/c=#&?")
    assert link == "https://x/console/invitations/id%2F..%2Fx#token=a%2Bb%2Fc%3D%23%26%3F"


@pytest.mark.parametrize(
    "of",
    [INVITATION_URL, "{public_url}/join/{token}?i={invitation_id}&l=de", "http://x/{invitation_id}/{token}/"],
)
def test_a_link_of_any_pattern_is_found_in_its_mail(of: str) -> None:
    link = filled(pattern(of), invitation_id="0198c0de", token="ten/1.secret")
    sent = compose(replace(MAIL, link=link, token="ten/1.secret"), SENDER)
    assert link_in(parse(sent.as_bytes())) == (link, "ten/1.secret")


@pytest.mark.parametrize(
    "url", ["", "app.example.com", "ftp://x", "https://", "https://x/?a=b", "https://x/#a"]
)
def test_an_invalid_public_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="HOC_PUBLIC_URL"):
        pattern(public_url=url)


@pytest.mark.parametrize(
    "of",
    [
        "",
        "{public_url}/{invitation_id}",
        "{public_url}/{token}",
        "{public_url}/{invitation_id}/{token}/{email}",
        "{public_url}/{invitation_id}/{token}/{",
        "/invitations/{invitation_id}#{token}",
        "javascript:{invitation_id}{token}",
        "{public_url}/{invitation_id} {token}",
    ],
)
def test_a_wrong_pattern_of_links_is_refused(of: str) -> None:
    with pytest.raises(ValueError, match="HOC_INVITATION_URL"):
        pattern(of)


def test_other_mail_has_no_invitation_link() -> None:
    message = EmailMessage()
    message.set_content(LINK)
    assert link_in(message) is None


def test_a_repr_shows_no_personal_data() -> None:
    assert repr(MAIL) == (
        "InvitationMail(role='admin', invitation_id='0198c0de', "
        f"expires_at={MAIL.expires_at.astimezone(MAIL.expires_at.tzinfo)!r})"
    )
    assert MAIL.expires_at.astimezone(UTC).hour == 2
