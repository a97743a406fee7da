"""The nodes of the demonstration: founded, wired, served and asked as an operator would do it.

Rule    Everything is done with the commands of this program, each with --config of its node, so that the
        demonstration shows nothing that its reader could not do. They run in this process, because
        starting Python for each would be most of the time; the servers are processes of their own.

Writes  a folder for each node
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests

from node.cli.demo.certificates import Certificates
from node.cli.demo.terms import AGREEMENT, AUDIENCE
from node.cli.exits import DONE, INCOMPLETE, INTERRUPTED
from node.cli.main import stixnode
from node.cli.printing import clean
from node.errors import NodeError
from node.store.definitions import load_definitions, packaged_folder

READER = "soc-demo"
START_SECONDS = 30
STOP_SECONDS = 15

Line = Mapping[str, Any]
Process = subprocess.Popen[bytes]


class DemoFailed(NodeError):
    """A step of the demonstration did not do what it should."""


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One node of the demonstration.

    Args:
        name: Its name in the agreement.
        partner: The other's name.
        folder: Where all of it lies.
        port: Where it serves, on this machine only.
        secure: Whether it serves over TLS.
    """

    name: str
    partner: str
    folder: Path
    port: int
    secure: bool = True

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "config.toml"

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    @property
    def reader_token(self) -> Path:
        """The file with the token of the SOC that reads here."""
        return self.folder / "secrets" / READER


@contextlib.contextmanager
def own_environment() -> Iterator[None]:
    """Keep what is set for another node (STIXNODE_...) from these."""
    kept = {name: text for name, text in os.environ.items() if name.startswith("STIXNODE_")}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        for name in [each for each in os.environ if each.startswith("STIXNODE_")]:
            del os.environ[name]
        os.environ.update(kept)


def run(node: DemoNode, *arguments: str, codes: Sequence[int] = (DONE,)) -> list[Line]:
    """The lines of JSON with which a command answers.

    Args:
        node: Whose configuration it is given.
        arguments: The command, without `stixnode`.
        codes: The exit codes that are right here.

    Raises:
        DemoFailed: It ended with another code.
        KeyboardInterrupt: It was interrupted.
    """
    return [json.loads(line) for line in _said(node, [*arguments, "--json"], codes).splitlines()]


def printed(node: DemoNode, *arguments: str, codes: Sequence[int] = (DONE,)) -> list[str]:
    """The lines that a command prints for people; as `run` otherwise."""
    return _said(node, arguments, codes).splitlines()


def _said(node: DemoNode, arguments: Sequence[str], codes: Sequence[int]) -> str:
    config = [] if arguments[0] == "init" else ["--config", str(node.config)]
    said, complained = io.StringIO(), io.StringIO()
    code: object = DONE
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            stixnode.main([*config, *arguments], prog_name="stixnode")
        except SystemExit as ended:
            code = ended.code or DONE
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code not in codes:
        shown = shlex.join(["stixnode", *config, *arguments])
        last = (complained.getvalue() or said.getvalue()).strip().splitlines()[-1:]
        raise DemoFailed(f"`{shown}` ended with {code}: {_problem(last)}", remedy=f"Run it by hand: {shown}")
    return said.getvalue()


def create(node: DemoNode, agreement: str, certificates: Certificates, other: DemoNode | str) -> None:
    """Found a node and wire it: TLS, the agreement, the partner.

    Args:
        node: The new node.
        agreement: Text of the file that is the same at both.
        certificates: What it shows, and what it trusts.
        other: The partner, or what stands in [partner.NAME] for one that is no stixnode.
    """
    token = node.folder / "secrets" / "operator"
    token.parent.mkdir(parents=True, mode=0o700)
    run(
        node,
        *("init", str(node.folder), "--name", node.name, "--url", node.url),
        *("--person", "operator", "--token-file", str(token)),
    )
    (node.folder / "agreements").mkdir()
    (node.folder / "agreements" / f"{AGREEMENT}.toml").write_text(agreement, encoding="utf-8")
    text = node.config.read_text(encoding="utf-8")
    if node.secure:
        (node.folder / "tls").mkdir()
        for file in (certificates.authority, certificates.certificate, certificates.private_key):
            shutil.copy(file, node.folder / "tls" / file.name)
        text = _with_key(text, "tls_certificate", "tls/server.crt")
        text = _with_key(text, "tls_private_key", "tls/server.key")
    text += other if isinstance(other, str) else _partner(node, other)
    node.config.write_text(text, encoding="utf-8")


def connect(node: DemoNode, other: DemoNode) -> None:
    """Give the partner an account here, and the file with its token to the partner."""
    place = other.folder / "secrets" / node.name
    run(node, "account", "add", other.name, "--partner", other.name, "--token-file", str(place))


def add_reader(node: DemoNode) -> None:
    """An account for a SOC that may read everything up to AMBER."""
    aliases = ",".join(each.alias for each in load_definitions())
    run(
        node,
        *("account", "add", READER, "--clearance", "amber", "--audience", AUDIENCE),
        *("--read", aliases, "--token-file", str(node.reader_token)),
    )


def starter_bundles(name: str) -> dict[str, Path]:
    """alias -> the starter bundle of a node."""
    return {file.stem: file for file in sorted((packaged_folder() / "bundles" / name).glob("*.json"))}


def load(node: DemoNode, alias: str, file: Path) -> list[Line]:
    """Import a file; refused objects are in the answer."""
    return run(node, "import", alias, str(file), codes=(DONE, INCOMPLETE))


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nobody uses just now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@contextlib.contextmanager
def running(commands: Sequence[Sequence[str]], logs: Sequence[Path]) -> Iterator[list[Process]]:
    """Processes that are stopped at the end, whatever happens; each writes to its own log."""
    children: list[Process] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_stop, children)
        for command, log in zip(commands, logs, strict=True):
            file: IO[bytes] = stack.enter_context(log.open("wb"))
            # A session of its own: Ctrl-C comes to us, and we stop it in order.
            with _signals_held():
                children.append(
                    subprocess.Popen(
                        [sys.executable, "-m", *command],
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=file,
                        start_new_session=True,
                    )
                )
        yield children


def serve_command(node: DemoNode) -> list[str]:
    """The server of a node, as a module of Python with its arguments."""
    return ["node", "--config", str(node.config), "serve"]


def wait_until_served(url: str, child: Process, log: Path, authority: Path | None) -> None:
    """Return when a server answers.

    Raises:
        DemoFailed: It ended, or did not answer in time.
    """
    until = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < until:
        try:
            requests.get(url, verify=str(authority) if authority else True, timeout=2)
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    state = "did not answer" if child.poll() is None else f"ended with {child.returncode}"
    raise DemoFailed(
        f"The server at {url} {state}: {clean(' '.join(words)) or 'it said nothing'}",
        remedy="Run the demonstration again with --keep DIR, and read serve.log there.",
    )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Hand a signal over only afterwards: it may not come between a child's start and our knowing of it."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
    for each in came:
        signal.raise_signal(each)


def _stop(children: Sequence[Process]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _problem(last: Sequence[str]) -> str:
    if not last:
        return "it said nothing."
    try:
        found = json.loads(last[0])
    except ValueError:
        return clean(last[0])
    if not isinstance(found, dict):
        return clean(last[0])
    words = (found.get("problem") or found.get("text") or last[0], found.get("remedy") or "")
    return clean(" ".join(map(str, words)).strip())


def _with_key(text: str, key: str, value: str) -> str:
    """The configuration with a key that stood in it as a comment."""
    written, times = re.subn(
        rf'^#{key} = ""', f"{key} = {json.dumps(value)}", text, count=1, flags=re.MULTILINE
    )
    assert times == 1  # `init` writes every key
    return written


def _partner(node: DemoNode, other: DemoNode) -> str:
    lines = ["", f"[partner.{other.name}]"]
    if node.name == "north":
        lines += [
            f'api_root = "{other.url}/api/"',
            f'username = "{node.name}"',
            f'password_file = "secrets/{other.name}"',
            'tls_ca = "tls/ca.crt"',
        ]
    lines += [f'agreements = ["agreements/{AGREEMENT}.toml"]', no_limits(other.name)]
    return "\n".join([*lines, ""])


def no_limits(partner: str) -> str:
    """What stands in the configuration so that a whole corpus may come from a partner in one day."""
    return f"\n[partner.{partner}.stricter]\nmax_new_in_per_day = 0   # here all of it comes at once"
