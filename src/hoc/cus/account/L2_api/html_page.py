"""Pages for people: HTML without a script, and nothing in it is fetched from anywhere.

The policy (CSP) allows the page's own style and nothing else: no script, image, frame, form or connection.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

_STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
pre{background:#8882;padding:.5rem;overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #8884}
details{border:1px solid #8884;border-radius:4px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
"""
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(title: str, *parts: str, headers: Mapping[str, str]) -> HTMLResponse:
    """A page of these parts of HTML."""
    html = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{''.join(parts)}</html>\n"
    )
    policy = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Referrer-Policy": "no-referrer"}
    return HTMLResponse(html, headers={**headers, **policy})


def prose(text: str) -> str:
    """A text as HTML, with what is between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose cells are HTML; nothing without rows."""
    lines = ["".join(f"<td>{cell}" for cell in row) for row in rows]
    if not lines:
        return ""
    return f"<table><tr>{''.join(f'<th>{head}' for head in heads)}<tr>{'<tr>'.join(lines)}</table>\n"
