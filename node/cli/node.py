"""`stixnode init`, `serve`, `work`, `run`, `check` and `version`: the machine itself."""

from __future__ import annotations

import itertools
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import click

from node import __version__, clock, web
from node.access.names import checked_name
from node.cli import checks, founding
from node.cli.asked import Command
from node.cli.context import Context, os_name, with_context
from node.cli.exits import DONE, most_serious
from node.cli.file_checks import Finding
from node.cli.partner_rounds import holder_of_leases, print_rounds, run_rounds
from node.cli.printing import amount
from node.cli.processes import run_together, stop_with_parent
from node.cli.watching import alerting, try_channels
from node.cli.working import work_until_told
from node.errors import ConfigError, UsageError

DEFAULT_NAME = "node"
_RESUME = re.compile(r"stixnode resume (?!PARTNER)\S+$")


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", default=DEFAULT_NAME, help="Our name in every agreement; never changes afterwards.")
@click.option("--url", default="", help="https://HOST as others reach us; without it only this machine does.")
@click.option(
    "--person", default="", help="The first person, operator and admin; else your own account's name."
)
@click.option("--token-file", metavar="FILE", help="Write the person's token there (0600), show it nowhere.")
@click.option(
    "--database", default="", metavar="URL", help="postgresql://USER@HOST/NAME; else a SQLite file."
)
@click.option(
    "--password-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file with the database's password; it must be there.",
)
@with_context
def init(
    context: Context,
    folder: Path,
    name: str,
    url: str,
    person: str,
    token_file: str | None,
    database: str,
    password_file: Path | None,
) -> int:
    """Create a node in a folder: configuration, database, collections, the first person.

    Without --name and --url it is a node of this machine alone, to try things. What $STIXNODE_SECTION__KEY
    says is written into the configuration.
    """
    person = person or _own_name()
    wish = founding.Wish(folder, name, url, person, token_file, database, password_file)
    made = founding.found(wish, environ=os.environ, actor=f"os:{os_name()}", now=clock.now())
    out, config = context.out, str(made.config)
    out.only(config=config, person=person, **made.secret.fields())
    out.line(f"created  {config} (every key, ours filled in)")
    out.line(f"         database with {amount(made.collections, 'collection')} and no objects")
    out.line(f"         person {person} ({', '.join(founding.FIRST_ROLES)})")
    made.secret.show(out)
    if made.open_folder:
        out.notice(f"note: others may look into {folder}; say: chmod 700 {folder}")
    if url and not made.settings.server.tls_certificate:
        out.notice("note: others reach this node only after you set listen and the TLS files in [server].")
    out.next(f"stixnode --config {config} collection list", f"stixnode --config {config} run")
    return DONE


@click.command(cls=Command)
@click.option("--host", help="Address to listen on; else the first of [server] listen.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; else [server] workers.")
@with_context
def serve(context: Context, host: str | None, port: int | None, workers: int | None) -> int:
    """Run the TAXII server until a signal says to stop.

    It listens on every address of [server] listen, or on the one that is given.
    """
    settings = context.settings
    count = workers or settings.server.workers
    listen = settings.server.listen
    if host is None and port is None and len(listen) > 1:
        run_together([_serving(context, each, count) for each in listen])
        return DONE
    stop_with_parent()
    web.serve(settings, host or listen[0][0], port or listen[0][1], count)
    return DONE


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="One round of every link, then end.")
@with_context
def work(context: Context, once: bool) -> int:
    """Run the worker: rounds of all links when they are due, until a signal says to stop."""
    if once:
        code = print_rounds(context.out, run_rounds(context, context.links(None)))
        alerting(context.settings, context.database, holder_of_leases())()
        return code
    work_until_told(context)
    return DONE


@click.command(cls=Command)
@with_context
def run(context: Context) -> int:
    """Run server and worker together until a signal says to stop.

    When one of them ends, the other is stopped too.
    """
    settings = context.settings
    servers = [_serving(context, each, settings.server.workers) for each in settings.server.listen]
    run_together([*servers, ["work", "--config", str(settings.path)]])
    return DONE


@click.command(cls=Command)
@click.argument("backup", metavar="[BACKUP]", required=False, type=click.Path(path_type=Path))
@click.option("--read-data", is_flag=True, help="Read every row too, and compare it with its body.")
@click.option("--alerts", "tries_alerts", is_flag=True, help="Also send a test by each way of [alerts].")
@with_context
def check(context: Context, backup: Path | None, read_data: bool, tries_alerts: bool) -> int:
    """Look whether configuration, agreements and database are sound, or a backup; change nothing.

    \b
    Exit codes:
      0   all is well
      2   the configuration, a file that it names or the database cannot be used
      4   the database does not take our password
      5   the database is not to be reached
      6   an agreement has ended
      12  the database went back in time, or links are paused because it did; it or the backup is damaged
    """
    out, codes = context.out, []
    remedies: list[str] = []
    reading = out.progress if read_data else None
    findings = (
        checks.look(context.asked.config, now=clock.now(), reading=reading)
        if backup is None
        else checks.look_at_backup(backup, reading=reading)
    )
    if tries_alerts and backup is None:
        findings = itertools.chain(findings, _channels(context))
    for found in findings:
        codes.append(found.code)
        remedies.append(found.remedy)
        mark = "FAIL " if found.code != DONE else "note " if found.note else "ok   "
        out.line(f"{mark} {found.name:14} {found.text}")
        if found.remedy:
            out.remedy(found.remedy, indent=21)
        out.record(
            "finding",
            name=found.name,
            ok=found.code == DONE,
            text=found.text,
            remedy=found.remedy,
            exit=found.code,
        )
    code = most_serious(codes)
    resumes = [found[0] for found in (_RESUME.search(each) for each in remedies) if found]
    well = "stixnode status" if backup is None else f"stixnode restore {backup} DIR"
    out.next(*resumes or [well if code == DONE else "stixnode check, when that is corrected"])
    return out.summary(code)


@click.command(cls=Command)
@with_context
def version(context: Context) -> int:
    """Say which version this is, and of what it is made."""
    python = platform.python_version()
    context.out.line(f"stixnode {__version__} (Python {python})")
    context.out.record("stixnode", version=__version__, python=python)
    return context.out.summary(DONE)


def _channels(context: Context) -> Iterator[Finding]:
    try:
        yield from try_channels(context.settings, now=clock.now())
    except ConfigError:
        return  # told already


def _serving(context: Context, address: tuple[str, int], workers: int) -> list[str]:
    host, port = address
    where = ["--config", str(context.settings.path), "--host", host, "--port", str(port)]
    return ["serve", *where, "--workers", str(workers)]


def _own_name() -> str:
    name = os_name().lower()
    try:
        return checked_name("person", name)
    except UsageError:
        return "op"
