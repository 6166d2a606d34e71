"""HOC_SMTP_URL: its meaning, and error messages that contain no part of the password."""

from __future__ import annotations

import pytest

from hoc.mail.smtp import SmtpSender


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", SmtpSender("mail.example", 25)),
        ("smtp://mail.example:2525/", SmtpSender("mail.example", 2525)),
        ("smtps://mail.example", SmtpSender("mail.example", 465, implicit_tls=True)),
        ("smtp://[::1]:25?starttls=required", SmtpSender("::1", 25, require_starttls=True)),
        (
            "smtps://me%40example.org:p%3A%2F%40%C3%BC@mail.example",
            SmtpSender("mail.example", 465, "me@example.org", "p:/@ü", implicit_tls=True),
        ),
        # a password does not leave the machine unencrypted by default
        ("smtp://me:pw@mail.example:587", SmtpSender("mail.example", 587, "me", "pw", require_starttls=True)),
        ("smtp://me:pw@127.0.0.1:587", SmtpSender("127.0.0.1", 587, "me", "pw")),
        ("smtp://me:pw@localhost:587", SmtpSender("localhost", 587, "me", "pw")),
        ("smtp://me:pw@mail.example:587?starttls=optional", SmtpSender("mail.example", 587, "me", "pw")),
    ],
)
def test_a_url_is_read(url: str, expected: SmtpSender) -> None:
    assert SmtpSender.from_url(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "scheme"),
        ("mail.example:25", "scheme"),
        ("https://me:hunter2@mail.example", "scheme"),
        ("smtp://", "host is missing"),
        ("smtp://me:hunter2@", "host is missing"),
        ("smtp://mail.example:0", "port"),
        ("smtp://me:hunter2@mail.example:99999", "port"),
        ("smtp://me:hunter2@mail.example:smtp", "port"),
        ("smtp://me:hunter2#x@mail.example", "port"),
        ("smtp://me:25/hunter2@mail.example", "may follow"),
        ("smtp://me:25?hunter2@mail.example", "starttls"),
        ("smtp://[hunter2", "cannot be parsed"),
        ("smtp://me:hunter2%ff@mail.example", "cannot be parsed"),
        ("smtp://me@mail.example", "together"),
        ("smtp://:hunter2@mail.example", "together"),
        ("smtp://mail.example/path", "may follow"),
        ("smtp://mail.example?starttls=maybe", "starttls"),
        ("smtp://mail.example?timeout=3", "starttls"),
        ("smtps://me:hunter2@mail.example?starttls=required", "TLS from the start"),
    ],
)
def test_a_bad_url_is_explained_without_the_password(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        SmtpSender.from_url(url)
    assert str(refused.value).startswith("HOC_SMTP_URL: ")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_repr_shows_no_credentials() -> None:
    assert "hunter2" not in repr(SmtpSender.from_url("smtps://me:hunter2@mail.example"))
