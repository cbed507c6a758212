"""docs/reference/cli.md, every command and what it takes, from the parser.

python -m benchmarks.pages.commands
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from kdjax.arguments import parser
from kdjax.files import write_text

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"

_HEAD = """# Commands

`kdjax COMMAND --help` prints what this page says about a command.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | a defect of kdjax |
| 2 | the input is wrong; one line on standard error names the file, field or value and the remedy |
| 75 | another process of the training ended; [Clusters](../guides/clusters.md) |
| 128 plus a signal's number | the signal ended the command |

`kdjax --print-completion bash` prints a completion script for bash; `zsh`, `tcsh`, `fish` and
`powershell` work too."""


def main() -> None:
    """Writes the page."""
    whole = parser()._actions
    (commands,) = (each for each in whole if isinstance(each, argparse._SubParsersAction))
    parts = [_HEAD]
    for name, command in commands.choices.items():
        example = str(command.epilog).removeprefix("example: ")
        parts += [f"## kdjax {name}", str(command.description), f"```sh\n{example}\n```"]
        places, options, *groups = command._action_groups
        parts.append(_listed(places._group_actions + options._group_actions))
        for group in groups:
            parts += [f"For {group.title}:", _listed(group._group_actions)]
    write_text(PAGE, "\n\n".join(parts) + "\n")


def _listed(actions: Iterable[argparse.Action]) -> str:
    shown = (each for each in actions if each.help != argparse.SUPPRESS and each.dest != "help")
    return "\n".join(map(_described, shown))


def _described(action: argparse.Action) -> str:
    """An item of a list: an argument and what it means."""
    value = action.metavar or ("{" + ",".join(action.choices) + "}" if action.choices else "")
    if action.option_strings and action.nargs != 0:
        value = f"{action.option_strings[0]} {value or action.dest.upper()}"
    elif action.option_strings:
        value = action.option_strings[0]
    needed = " (required)" if action.option_strings and action.required else ""
    return f"- `{value}`{needed}: {action.help}"


if __name__ == "__main__":
    main()
