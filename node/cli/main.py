"""The command `stixnode`: what it can do, how its errors look, and with which code it ends.

Rule    A command's module is loaded when the command is called, so that the help costs no more than
        click. Every error on purpose is two lines on stderr, problem and `Try: remedy`; with --json it is
        one line of JSON there. A command returns its exit code; `node/cli/exits.py` has the table.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import io
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from node import __version__
from node.cli.asked import given_anywhere
from node.cli.exits import DONE, INTERRUPTED, MEANINGS, WRONG_CALL, exit_code, remedy_of
from node.cli.printing import print_error
from node.errors import NodeError

# Section of the help -> command -> (where it is, what the help says of it).
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Every day": {
        "status": ("status:status", "Say what works, what does not, and what waits for a person."),
        "find": ("find:find", "Find a value, name or id: whose, given to whom, read past by whom."),
        "explain": ("find:explain", "Say where an object is, who got it, and who did not and why."),
        "quarantine": ("quarantine:quarantine", "List, show, retry, edit, accept and discard what waits."),
        "stop": ("stopping:stop", "Close a partner at once, both ways, and what we serve it."),
        "resume": ("stopping:resume", "Open the links with a partner."),
        "withdraw": ("withdraw:withdraw", "Take back what went out; list who has acknowledged it."),
        "undelete": ("review:undelete", "Let an object come again that was deleted here."),
    },
    "Exchange": {
        "sync": ("sync:sync", "Do one round now: pull, then push."),
        "pull": ("sync:pull", "Fetch what partners offer, now."),
        "push": ("sync:push", "Bring partners what they are due, now."),
        "doctor": ("doctor:doctor", "Look at this node, or at the way to a partner; name each fix."),
        "plan": ("planning:plan", "Show what would cross, and why not; change nothing."),
        "reconcile": ("reconcile:reconcile", "Compare what was given with what arrived; repair."),
        "history": ("history:history", "List what was carried and how it ended; totals of each day."),
    },
    "Partners": {
        "agreement": ("partners:agreement", "Check an agreement, or show what it lets cross."),
    },
    "Content": {
        "import": ("content:import_", "Take in a bundle, an envelope or lines of objects."),
        "export": ("content:export", "Write a collection as one STIX bundle."),
        "collection": ("content:collection", "Add, list and show collections."),
    },
    "People": {
        "person": ("people:person", "Add and list the people at the desk."),
        "account": ("account:account", "Add, list, show and remove accounts; allow and deny."),
        "token": ("people:token", "Add, list, rotate and remove tokens."),
    },
    "Machine": {
        "init": ("node:init", "Create a node in a folder."),
        "run": ("node:run", "Run server and worker together."),
        "serve": ("node:serve", "Run the server alone."),
        "work": ("node:work", "Run the worker alone."),
        "check": ("node:check", "Look whether configuration and database are sound."),
        "backup": ("backups:backup", "Write the whole node into one file while it runs."),
        "restore": ("backups:restore", "Make a node again from a backup."),
        "demo": ("demo.command:demo", "Run two nodes here that exchange."),
        "version": ("node:version", "Say which version this is."),
    },
}
_PLACES = {name: place for commands in SECTIONS.values() for name, (place, _) in commands.items()}


class Root(click.Group):
    """The command itself: its commands are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        del ctx
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded now."""
        del ctx
        if cmd_name not in _PLACES:
            return None
        module, _, attribute = _PLACES[cmd_name].partition(":")
        name = f"node.cli.{module}"
        try:
            found: click.Command = getattr(importlib.import_module(name), attribute)
        except ModuleNotFoundError as cause:
            if cause.name != name:
                raise
            return None
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, without loading any, and the exit codes."""
        del ctx
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(
                    [(f"{name:<10}", text) for name, (_, text) in commands.items()], col_max=12
                )
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code:<10}", meaning) for code, meaning in MEANINGS.items()], col_max=12)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed, or an error that names the nearest one."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            guess = difflib.get_close_matches(args[0], _PLACES, n=1)
            raise _Unknown(args[0], remedy=f"stixnode {guess[0]}" if guess else "stixnode --help")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **more: Any) -> Any:
        """Run, print what went wrong, and exit with the code for it."""
        given = list(sys.argv[1:] if args is None else args)
        more["standalone_mode"] = False
        work = functools.partial(super().main, given, *rest, **more)
        sys.exit(_ended(work, as_json="--json" in given, config=_config_in(given)))


class _Unknown(click.UsageError):
    def __init__(self, name: str, *, remedy: str) -> None:
        super().__init__(f"There is no command {name!r}.")
        self.remedy = remedy


def _config_in(given: Sequence[str]) -> str | None:
    """What was given with --config; the later one holds."""
    found: str | None = None
    for word, following in itertools.zip_longest(given, given[1:], fillvalue=""):
        if word == "--config" and following:
            found = following
        elif word.startswith("--config="):
            found = word.removeprefix("--config=")
    return found


def _ended(work: Callable[[], Any], *, as_json: bool, config: str | None) -> int:
    """The exit code of some work, whose errors are printed."""
    try:
        code = work()
    except NodeError as cause:
        code = exit_code(cause)
        print_error(cause.problem, remedy_of(cause), code, as_json=as_json, config=config)
    except click.exceptions.NoArgsIsHelpError as cause:
        cause.show()
        return WRONG_CALL
    except click.ClickException as cause:
        print_error(cause.format_message(), _remedy(cause), WRONG_CALL, as_json=as_json)
        return WRONG_CALL
    except (click.Abort, KeyboardInterrupt):
        print_error(
            "Interrupted; what was done so far is whole.", "Run it again.", INTERRUPTED, as_json=as_json
        )
        return INTERRUPTED
    except OSError as cause:
        place = f"{cause.filename}: " if cause.filename else ""
        problem = f"{place}{cause.strerror or cause}"
        print_error(problem, "Check the path, its rights and the free space.", 1, as_json=as_json)
        return 1
    return code if isinstance(code, int) else DONE


def _remedy(cause: click.ClickException) -> str:
    if isinstance(cause, _Unknown):
        return cause.remedy
    context = getattr(cause, "ctx", None)
    return f"{context.command_path if context is not None else 'stixnode'} --help"


@click.group(
    "stixnode",
    cls=Root,
    params=list(given_anywhere()),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="stixnode", message="%(prog)s %(version)s")
@click.pass_context
def stixnode(context: click.Context) -> int:
    """Exchange STIX with partner centres over TAXII 2.1, under a signed agreement.

    Without a command it says what needs you.
    """
    if context.invoked_subcommand is not None:
        return DONE
    screen = importlib.import_module("node.cli.status").screen
    return int(context.invoke(screen))


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    stixnode.main(prog_name="stixnode")
