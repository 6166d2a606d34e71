"""The pages that show the OpenAPI and AsyncAPI documents to people."""

from collections.abc import Callable
from functools import cache
from html import escape
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.html_page import page, prose, table
from hoc.cus.account.L2_api.openapi import CACHED_DOCUMENT

Document = dict[str, Any]


def documentation_route(path: str, source: str, document: Callable[[str], Document]) -> Route:
    """A page about a document.

    Args:
        source: where the document itself is, relative to the page.
        document: gives it for the path under which the application is mounted.
    """

    @cache
    def parts(server: str) -> tuple[str, str]:
        shown = document(server)
        info = shown["info"]
        show = _operations if "openapi" in shown else _messages
        return f"{info['title']} {info['version']}", (
            f'<p>{prose(info["description"])}</p><p>For programs: <a href="{source}">{source}</a></p>\n'
            + show(shown)
            + _schemas(shown)
        )

    async def show(request: Request) -> Response:
        title, body = parts(request.scope.get("root_path", ""))
        return page(title, body, headers=CACHED_DOCUMENT)

    return Route(path, show, methods=["GET"])


def _operations(document: Document) -> str:
    server = document["servers"][0]["url"].rstrip("/")
    sections: list[str] = []
    for tag in document["tags"]:
        sections.append(f"<h2>{escape(tag['name'])}</h2><p>{prose(tag['description'])}</p>\n")
        sections += [
            _operation(method.upper(), server + path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
    return "".join(sections)


def _operation(method: str, path: str, operation: Document) -> str:
    parameters = table(
        ("Parameter", "In", "Type", ""),
        (
            (
                f"<code>{escape(parameter['name'])}</code>",
                escape(parameter["in"]) + (", required" if parameter["required"] else ""),
                _type(parameter["schema"]),
                prose(parameter.get("description", "")),
            )
            for parameter in operation["parameters"]
        ),
    )
    body = _content(operation["requestBody"]) if "requestBody" in operation else ""
    answers = table(
        ("Status", "Answer"),
        (
            (status, escape(answer["description"]) + (_content(answer) if status < "300" else ""))
            for status, answer in operation["responses"].items()
        ),
    )
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{method}</b>'
        f" <code>{escape(path)}</code> {prose(operation['summary'])}</summary>"
        f"<p>{prose(operation['description'])}</p>{parameters}{body and f'<h4>Body</h4>{body}'}{answers}"
        "</details>\n"
    )


def _content(described: Document) -> str:
    return "".join(
        f" {_type(media['schema'])}"
        f"<pre>{escape(orjson.dumps(media['example'], option=orjson.OPT_INDENT_2).decode())}</pre>"
        for media in described.get("content", {}).values()
    )


def _messages(document: Document) -> str:
    sections = {"send": "<h2>What hoc publishes</h2>", "receive": "<h2>What hoc handles</h2>"}
    messages = document["components"]["messages"]
    for name, operation in document["operations"].items():
        message = messages[name.partition(".")[2]]
        sections[operation["action"]] += (
            f"<details><summary><code>{escape(message['name'])}</code></summary>"
            f"<p>{prose(message['summary'])}</p><p>{_type(message['payload'])}, with the headers"
            f" {_type(message['headers'])}</p></details>\n"
        )
    return "".join(sections.values())


def _schemas(document: Document) -> str:
    return "<h2>Types</h2>\n" + "".join(
        f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{prose(schema.get("description", ""))}</p>'
        f"{_fields(schema) or _type(schema)}\n"
        for name, schema in document["components"]["schemas"].items()
    )


def _fields(schema: Document) -> str:
    required = schema.get("required", ())
    return table(
        ("Field", "Type", ""),
        (
            (
                f"<code>{escape(name)}</code>",
                _type(field) + ("" if name in required else ", optional"),
                prose(field.get("description", "")),
            )
            for name, field in schema.get("properties", {}).items()
        ),
    )


def _type(schema: Document) -> str:
    """A schema in a few words, with a link to the type that it refers to."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(map(_type, schema[choice]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " ".join(f"<code>{escape(str(value))}</code>" for value in values)
    kinds = schema.get("type", "any")
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if "items" in schema:
        return f"{words} of {_type(schema['items'])}"
    return escape(f"{words} ({schema['format']})" if "format" in schema else words)
