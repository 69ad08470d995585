"""The options of the commands: what several of them have, and what excludes each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from optparse import HelpFormatter, OptionParser, Values
from pathlib import Path

from beets import ui
from beets.exceptions import UserError

from beetsplug.artifactnet.commands.terminal import guarded
from beetsplug.artifactnet.errors import ConfigError


class HelpfulParser(ui.CommonOptionsParser):
    """A parser whose help ends with examples, printed as they are written."""

    def format_epilog(self, formatter: HelpFormatter) -> str:  # noqa: ARG002
        """Return the examples; optparse would fill them into one paragraph."""
        return f"\n{self.epilog}" if self.epilog else ""


def command(
    name: str,
    text: str,
    parser: ui.CommonOptionsParser,
    run: Callable[..., None],
    aliases: Sequence[str] = (),
) -> ui.Subcommand:
    """Return a command that calls ``run`` with the library, the options and the arguments."""
    made = ui.Subcommand(name, parser=parser, help=text, aliases=aliases)
    made.func = guarded(run)
    return made


def add_flags(parser: OptionParser, *flags: Sequence[str]) -> None:
    """Add options that take no value: the names of each, then its help."""
    for *names, text in flags:
        parser.add_option(*names, action="store_true", default=False, help=text)


def add_threads(parser: OptionParser) -> None:
    """Add the option ``--threads``."""
    parser.add_option(
        "-t", "--threads", type="int", help="number of workers; 0 is one per core"
    )


def check_threads(opts: Values) -> None:
    """Check that the number of workers is none below 0.

    Raises:
        ConfigError: It is.
    """
    if opts.threads is not None and opts.threads < 0:
        raise ConfigError(f"--threads is {opts.threads}, it must be 0 or more")


Exclusive = tuple[Sequence[str], Sequence[str], str]
"""Options, others that contradict each of them, and why."""


def check_exclusive(parser: OptionParser, opts: Values, *rules: Exclusive) -> None:
    """Refuse two options that contradict each other.

    Raises:
        UserError: Both are given.
    """
    for names, others, why in rules:
        for pair in product(names, others):
            if all(_is_given(parser, opts, name) for name in pair):
                raise UserError(f"artifactnet: {' and '.join(pair)} exclude each other: {why}")


def check_actions(
    parser: OptionParser, opts: Values, belong_to: Mapping[str, Sequence[str]], action: str
) -> None:
    """Refuse an option that has no effect on an action.

    Args:
        parser: The command's.
        opts: What it found.
        belong_to: Option -> the actions that it has an effect on.
        action: The one that is asked for.

    Raises:
        UserError: There is one.
    """
    for name, actions in belong_to.items():
        if action not in actions and _is_given(parser, opts, name):
            raise UserError(f"artifactnet: {name} goes with {' and '.join(actions)}")


def _is_given(parser: OptionParser, opts: Values, name: str) -> bool:
    option = parser.get_option(name)
    return option is not None and getattr(opts, str(option.dest)) not in {None, False}


def path_of(text: str) -> Path:
    """Return a path that the user wrote, ``~`` expanded."""
    # Not by Path.expanduser(): it raises for an unknown ~user.
    return Path(os.path.expanduser(text))  # noqa: PTH111
