"""The texts of mails, from Jinja2 templates in the recipient's language. Needs the `mail` extra.

A directory of templates has a directory for each language, `en` or `pt-BR`, with three files for each kind of
mail: `invitation.subject`, `invitation.txt` and `invitation.html`. A host's file replaces hoc's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    pass_context,
    select_autoescape,
)
from jinja2.runtime import Context

_OWN: Final = Path(__file__).with_name("templates")
_PARTS: Final = ("subject", "txt", "html")
_LINK: Final = {"link": "https://app.example.com/x#token=y", "expires_at": datetime(2031, 2, 3, tzinfo=UTC)}
_DOMAIN: Final = {
    "domain": "example.com",
    "tenant_name": "Acme",
    "record_name": "_hoc-challenge.example.com",
    "record_value": "hoc-verification=x",
}
_SAMPLES: Final[dict[str, list[dict[str, Any]]]] = {
    "invitation": [
        _LINK | {"tenant_name": "Acme", "inviter_name": "Ada", "role": "member"},
        _LINK | {"tenant_name": "", "inviter_name": "", "role": "owner"},
    ],
    "confirmation": [_LINK],
    "notice": [{}],
    "ticket": [
        {"link": _LINK["link"], "ticket_subject": "Help", "tenant_name": "Acme", "is_resolved": False},
        {"link": _LINK["link"], "ticket_subject": "Help", "tenant_name": "Acme", "is_resolved": True},
    ],
    "webhook": [
        {"host": "hooks.example.com", "tenant_name": "Acme", "reason": "gone"},
        {"host": "hooks.example.com", "tenant_name": "Acme", "reason": "failing"},
    ],
    "domain": [_DOMAIN | {"lost_at": _LINK["expires_at"]}, _DOMAIN | {"lost_at": None}],
}
"""The kinds of mail, with values to try their templates with."""


@dataclass(frozen=True, slots=True)
class MailTexts:
    """The subject is one line. Its repr shows no personal data."""

    subject: str
    text: str
    html: str

    def __repr__(self) -> str:
        return "MailTexts()"


class MailTemplates:
    """hoc's templates, and those of a host that replace them.

    Every template is rendered once with sample values, so that a wrong one is refused now and not when the
    first mail is due.

    Args:
        directory: the host's templates.
        language: the one to use when there is none in the recipient's.

    Raises:
        ValueError: a template is missing, has an unknown name or cannot be rendered, or ``language`` has
            none.
    """

    def __init__(self, directory: Path | None = None, *, language: str = "en") -> None:
        if directory is not None and not directory.is_dir():
            raise ValueError(f"HOC_MAIL_TEMPLATES: {directory} is not a directory.")
        directories = [_OWN] if directory is None else [directory, _OWN]
        self._environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(each) for each in directories]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=-1,  # what was tried at the start is what is used
        )
        filters: dict[str, Any] = self._environment.filters
        filters.update(date=_date, datetime=_datetime)
        self._languages = {each.name for each in _language_directories(directories)}
        if language not in self._languages:
            known = ", ".join(sorted(self._languages))
            raise ValueError(f"HOC_MAIL_LANGUAGE: there are no templates in {language!r}, only in {known}.")
        self._language = language
        if directory is not None:
            _refuse_unknown_files(directory)
        for each in sorted(self._languages):
            self._try(each)

    def render(self, kind: str, locale: str | None, /, **values: object) -> MailTexts:
        """The texts of a mail to a recipient with this locale, a BCP 47 tag. HTML is escaped."""
        language = self._language_for(locale)
        known = locale if locale is not None and locale.startswith(language) else language
        return self._render(kind, language, _babel_locale(known) or Locale.parse(language, sep="-"), values)

    def _language_for(self, locale: str | None) -> str:
        """The longest prefix of the tag that has templates (RFC 4647, 3.4), else the default."""
        subtags = (locale or "").split("-")
        prefixes = ("-".join(subtags[:length]) for length in range(len(subtags), 0, -1))
        return next((prefix for prefix in prefixes if prefix in self._languages), self._language)

    def _render(self, kind: str, language: str, locale: Locale, values: dict[str, Any]) -> MailTexts:
        subject, text, html = (
            self._environment.get_template(f"{language}/{kind}.{part}").render(
                values, language=language, locale=locale
            )
            for part in _PARTS
        )
        return MailTexts(" ".join(subject.split()), text, html)

    def _try(self, language: str) -> None:
        locale = _babel_locale(language)
        if locale is None:
            raise ValueError(f"HOC_MAIL_TEMPLATES: {language} is not a language that Babel knows.")
        for kind, samples in _SAMPLES.items():
            for values in samples:
                self._try_kind(kind, language, locale, values)

    def _try_kind(self, kind: str, language: str, locale: Locale, values: dict[str, Any]) -> None:
        try:
            texts = self._render(kind, language, locale, values)
        except TemplateNotFound as missing:
            raise ValueError(f"HOC_MAIL_TEMPLATES: {missing.name} is missing.") from None
        except Exception as problem:
            where = getattr(problem, "name", None) if isinstance(problem, TemplateError) else None
            raise ValueError(
                f"HOC_MAIL_TEMPLATES: {where or f'{language}/{kind}'} cannot be rendered: {problem}"
            ) from problem
        if not texts.subject:
            raise ValueError(f"HOC_MAIL_TEMPLATES: {language}/{kind}.subject is empty.")
        if "link" not in values:
            return
        if values["link"] not in texts.text.splitlines():
            raise ValueError(
                f"HOC_MAIL_TEMPLATES: {language}/{kind}.txt must have {{{{ link }}}} on a line by itself."
            )
        if values["link"] not in texts.html:
            raise ValueError(f"HOC_MAIL_TEMPLATES: {language}/{kind}.html has no {{{{ link }}}}.")


def _language_directories(directories: list[Path]) -> Iterator[Path]:
    for each in (each for directory in directories for each in directory.iterdir()):
        if each.is_dir() and not each.name.startswith(("_", ".")):
            yield each


def _refuse_unknown_files(directory: Path) -> None:
    """A misspelt name would leave hoc's own text in use. Files for `include` start with an underscore."""
    known = {f"{kind}.{part}" for kind in _SAMPLES for part in _PARTS}
    for language in _language_directories([directory]):
        for file in sorted(language.iterdir()):
            if file.name not in known and not file.name.startswith(("_", ".")):
                raise ValueError(
                    f"HOC_MAIL_TEMPLATES: {language.name}/{file.name} replaces no template; they are"
                    f" {', '.join(sorted(known))}. A file to include starts with an underscore."
                )


def _babel_locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return None


@pass_context
def _datetime(context: Context, value: datetime, style: str = "long") -> str:
    return format_datetime(value, style, tzinfo=UTC, locale=context["locale"])


@pass_context
def _date(context: Context, value: datetime, style: str = "long") -> str:
    return format_date(value.astimezone(UTC).date(), style, locale=context["locale"])
