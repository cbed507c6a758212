"""Fills pages of the reference from the code when the site is built."""

import argparse
import os
from collections.abc import Iterator
from typing import Any

os.environ["COLUMNS"] = "88"  # argparse wraps help to it


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the help of every command in place of the mark."""
    mark = "<!-- the help of every command -->"
    return markdown.replace(mark, "\n\n".join(_commands())) if mark in markdown else markdown


def _commands() -> Iterator[str]:
    from kdjax.arguments import parser

    whole = parser()
    yield f"```text\n{whole.format_help()}```"
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield f"## kdjax {name}\n\n```text\n{command.format_help()}```"
