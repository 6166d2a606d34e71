"""A host's templates replace hoc's, file by file, and a wrong one is refused before any mail is due."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from hoc.mail.templating import MailTemplates

INVITATION: Final[dict[str, Any]] = {
    "tenant_name": "Acme & Söhne",
    "inviter_name": "<b>Ada</b>",
    "role": "admin",
    "link": "https://app.example.com/i?a=1&token=x",
    "expires_at": datetime(2031, 2, 3, 4, 5, tzinfo=UTC),
}


def write(directory: Path, **files: str) -> Path:
    """Write templates, named `en__invitation__txt`."""
    for name, content in files.items():
        language, kind, part = name.split("__")
        path = directory / language / f"{kind}.{part}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return directory


@pytest.mark.parametrize(
    ("locale", "subject", "expiry"),
    [
        ("de", "Einladung zu Acme & Söhne", "3. Februar 2031, 04:05:00 UTC"),
        ("de-AT", "Einladung zu Acme & Söhne", "3. Februar 2031, 04:05:00 UTC"),
        ("en-GB", "You are invited to Acme & Söhne", "3 February 2031, 04:05:00 UTC"),
        ("de-x-unknown", "Einladung zu Acme & Söhne", "3. Februar 2031, 04:05:00 UTC"),
        ("fr", "You are invited to Acme & Söhne", "February 3, 2031, 4:05:00\u202fAM UTC"),
        ("den", "You are invited to Acme & Söhne", "February 3, 2031, 4:05:00\u202fAM UTC"),
        (None, "You are invited to Acme & Söhne", "February 3, 2031, 4:05:00\u202fAM UTC"),
    ],
)
def test_a_mail_is_in_the_language_of_the_locale(locale: str | None, subject: str, expiry: str) -> None:
    texts = MailTemplates().render("invitation", locale, **INVITATION)
    assert texts.subject == subject
    assert expiry in texts.text


def test_the_default_language_is_a_setting() -> None:
    assert MailTemplates(language="de").render("notice", "fr").subject == "Ihre E-Mail-Adresse wurde geändert"
    with pytest.raises(ValueError, match=r"HOC_MAIL_LANGUAGE.*'fr', only in de, en"):
        MailTemplates(language="fr")


def test_values_are_escaped_in_html_and_only_there() -> None:
    texts = MailTemplates().render("invitation", None, **INVITATION)
    assert "<b>Ada</b> has invited you to join Acme & Söhne" in texts.text
    assert "&lt;b&gt;Ada&lt;/b&gt; has invited you to join Acme &amp; Söhne" in texts.html
    assert 'href="https://app.example.com/i?a=1&amp;token=x"' in texts.html


def test_a_host_replaces_single_files_and_adds_languages(tmp_path: Path) -> None:
    write(tmp_path, en__invitation__subject="Join {{ tenant_name }}", en___footer__html="<p>Bye</p>")
    texts = MailTemplates(tmp_path).render("invitation", None, **INVITATION)
    assert texts.subject == "Join Acme & Söhne"
    assert "To accept, open this link:" in texts.text

    french = {
        f"fr__{kind}__{part}": "{{ link }}"
        for kind in ("invitation", "confirmation", "ticket")
        for part in ("txt", "html")
    }
    write(tmp_path, **french, fr__notice__txt="Bonjour", fr__notice__html="{% include 'en/_footer.html' %}")
    write(tmp_path, fr__domain__txt="{{ domain }}", fr__domain__html="{{ domain }}")
    write(tmp_path, fr__webhook__txt="{{ host }}", fr__webhook__html="{{ host }}")
    kinds = ("invitation", "confirmation", "notice", "ticket", "domain", "webhook")
    write(tmp_path, **{f"fr__{kind}__subject": kind for kind in kinds})
    assert MailTemplates(tmp_path).render("notice", "fr-CA").html == "<p>Bye</p>"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("en__invitation__txt", "{% if %}", "en/invitation.txt cannot be rendered"),
        ("en__invitation__html", "{{ link }} {{ tenant }}", "'tenant' is undefined"),
        ("en__invitation__txt", "{{ link }}\n{% if not inviter_name %}{{ nobody }}{% endif %}", "'nobody'"),
        ("en__confirmation__txt", "Open {{ link }}.", "en/confirmation.txt must have {{ link }} on a line"),
        ("de__invitation__html", "<p>Hallo</p>", "de/invitation.html has no {{ link }}"),
        ("en__notice__subject", " \n", "en/notice.subject is empty"),
        ("en__notice__txt", "{% include 'en/absent.txt' %}", "en/absent.txt is missing"),
        ("en__invite__txt", "{{ link }}", "en/invite.txt replaces no template"),
        ("fr__notice__txt", "Bonjour", "fr/invitation.subject is missing"),
        ("klingon__notice__txt", "Qapla", "klingon is not a language"),
    ],
)
def test_a_wrong_template_is_refused_at_once(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(ValueError, match="HOC_MAIL_TEMPLATES") as refused:
        MailTemplates(write(tmp_path, **{name: content}))
    assert message in str(refused.value)


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a directory"):
        MailTemplates(tmp_path / "absent")


def test_a_repr_shows_no_personal_data_of_texts() -> None:
    assert "Ada" not in repr(MailTemplates().render("invitation", None, **INVITATION))
