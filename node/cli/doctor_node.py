"""Our own node under the eyes of the doctor: what is needed here before any partner can be blamed.

Rule    Nothing is opened for writing and nothing put right: a node that went back in time is told, not
        recovered. What cannot be known from here, such as whether others reach us, is not claimed.

Reads   what `stixnode check` reads; the clock's service, the disk, our own port and address, the folder of
        backups, links, alerts. Writes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from cryptography import x509

from node import web
from node.cli import backups, checks
from node.cli.context import Context
from node.cli.exits import BROKEN, DONE
from node.cli.printing import ago, amount, duration
from node.clock import MICROSECONDS, taxii_time
from node.config import Settings
from node.errors import NodeError, PartnerError
from node.exchange.egress import CLOCK_DOUBT
from node.sharing.links import PartnerBinding
from node.store import catalog, migrate
from node.store.backup_file import NAME_END
from node.store.database import Database, Tx
from node.sync import alert_book, endings
from node.sync.connection import Line, Patience
from node.sync.doctor import look_at_books
from node.sync.doctor_findings import Finding, broken, failed, ok, skipped, waits, warned
from node.sync.doctor_line import Place, look_at_line
from node.sync.health import FAULTS, State
from node.sync.standing import LinkStanding, standing_of

LEAST_FREE, LITTLE_FREE = 256 * 1024**2, 2 * 1024**3
OLD_BACKUP_DAYS = 8
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_OTHER_CLOCKS = ("/run/chrony", "/run/chronyd.pid", "/run/ntpd.pid", "/run/openntpd.pid", "/run/ntpsec")
_WORST = (State.FAILING, State.STALE, State.ENDED, State.SILENT, State.PAUSED, State.OK, State.IDLE)


def look_at_node(context: Context, *, now: int) -> Iterator[Finding]:
    """What is found of our own node, one thing after the other.

    Args:
        context: Of the command; its database is not opened.
        now: Microseconds.
    """
    faults = list(_checked(context, now))
    yield from faults
    if broken(each for each in faults if each.what in ("configuration", "database")):
        yield skipped("clock, server, worker, alerts, partners", "they need a configuration and a database")
        return
    settings = context.settings
    yield from _certificate(settings, now)
    yield _disk(settings)
    with closing(web.open_database(settings)) as database:
        yield from _clock(database, settings, now)
        yield from _server(settings, now)
        with database.reading() as tx:
            standings = standing_of(tx, settings.links, now=now, count=False)
            yield _worker(standings, settings, now)
            yield from _alerts(tx, settings, now)
    yield from _backup(settings, now)
    for partner in settings.partners:
        theirs = [one for one in standings if one.link.partner == partner.name]
        yield _partner(partner, theirs)


def _checked(context: Context, now: int) -> Iterator[Finding]:
    """What `stixnode check` finds: all that is well in one line, the rest line by line."""
    well = 0
    for each in checks.look(context.asked.config, now=now):
        fix = each.remedy or "stixnode check"
        if each.code == BROKEN:
            yield failed("database", each.text, fix)
        elif each.code != DONE:
            yield failed(each.name, each.text, fix)
        elif each.note:
            yield warned(each.name, each.text, fix)
        elif each.name in ("configuration", "durability"):
            yield ok("configuration" if each.name == "configuration" else "database", each.text)
        else:
            well += 1
    if well:
        yield ok("check", f"{amount(well, 'thing')} more sound: agreements, files, collections, history")


def _certificate(settings: Settings, now: int) -> Iterator[Finding]:
    file = settings.server.tls_certificate
    if file is None:
        return
    try:
        first = x509.load_pem_x509_certificates(file.read_bytes())[0]
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = [str(getattr(each, "value", each)) for each in names]
    except x509.ExtensionNotFound:
        shown = []
    except (OSError, ValueError):
        return  # told by check
    left = (int(first.not_valid_after_utc.timestamp()) * MICROSECONDS - now) // endings.DAY
    host = Place(settings.node.public_url, "", "").host
    if not _names_host(shown, host):
        text = f"{file.name} is for {', '.join(shown[:5]) or 'no host'}, and others reach us as {host}"
        yield failed("certificate", text, "Get one with that name, or correct public_url in [node].")
    elif left <= endings.SOON_DAYS:
        yield warned(
            "certificate", f"{left} days left ({file.name})", "Renew it now, then restart the server."
        )
    else:
        yield ok("certificate", f"{left} days left, names {host}")


def _names_host(shown: Sequence[str], host: str) -> bool:
    parent = f"*.{host.partition('.')[2]}"
    return host.lower() in (each.lower() for each in shown) or parent.lower() in (
        each.lower() for each in shown
    )


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.data_dir).free
    text = f"{free / 1024**3:,.1f} GB free at {settings.data_dir}"
    if free < LEAST_FREE:
        return failed(
            "disk", text, "Make room: without it nothing can be stored, and nothing is acknowledged."
        )
    if free < LITTLE_FREE:
        return warned("disk", text, "Make room, or move data_dir to a larger disk.")
    return ok("disk", text)


def _clock(database: Database, settings: Settings, now: int) -> Iterator[Finding]:
    with database.reading() as tx:
        newest = max((one.last_added for one in catalog.collections(tx)), default=0)
    if newest > now + CLOCK_DOUBT:
        ahead = duration((newest - now) // MICROSECONDS)
        text = f"our clock is {ahead} behind our newest object ({taxii_time(newest)}): all links are closed"
        fix = "Set the clock right. If it is right, the links open by themselves when that moment has come."
        yield failed("clock", text, f"{fix} See: timedatectl")
        return
    files = [each for each in settings.data_dir.iterdir() if each.is_file()]
    written = max((int(each.stat().st_mtime * MICROSECONDS) for each in files), default=0)
    if written > now + CLOCK_DOUBT:
        text = f"files in {settings.data_dir} are newer than our clock ({taxii_time(written)})"
        yield warned("clock", text, "Compare the clock with another one: timedatectl")
    elif _SYNCHRONISED.exists():
        yield ok("clock", "kept by systemd-timesyncd, and behind nothing that we hold")
    elif any(Path(each).exists() for each in _OTHER_CLOCKS):
        yield ok("clock", "a time service runs, and it is behind nothing that we hold")
    else:
        text = "nothing in /run says that a time service keeps it; it is behind nothing that we hold"
        yield warned(
            "clock", text, "Run one, such as systemd-timesyncd or chrony; doctor PARTNER compares clocks."
        )


def _server(settings: Settings, now: int) -> Iterator[Finding]:
    """Our own port and address, as far as they can be reached from here."""
    open_ = 0
    for host, port in settings.server.listen:
        inner = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        place = Place(f"http://{f'[{inner}]' if ':' in inner else inner}:{port}/", "us", "[server]", "listen")
        if broken(look_at_line(place, now=now)):
            yield failed("server", f"nothing listens at {host}:{port}", "stixnode run", "network")
        else:
            open_ += 1
            yield ok("server", f"listens at {host}:{port}")
    url = settings.node.public_url
    if not open_:
        yield skipped("public_url", "no server runs here")
        return
    way = list(look_at_line(Place(f"{url}/", "us", "[node]", "public_url"), now=now))
    fault = next((each for each in way if each.mark == "FAIL"), None)
    if fault is not None and "issued by" in fault.text:
        text = f"{url} answers; {fault.text}"
        fix = "If that is meant, every partner needs its certificate as tls_ca; see docs/reaching.md."
        yield warned("public_url", text, fix)
    elif fault is not None:
        fix = "From inside that may be our own firewall; a partner's stixnode doctor tells for certain."
        yield warned("public_url", f"{url} is not reached from here: {fault.what}: {fault.text}", fix)
    else:
        yield _ready(url)


def _ready(url: str) -> Finding:
    patience = Patience(connect=3.0, read=5.0, whole=8.0, most_bytes=65_536)
    line = Line(
        "the server",
        f"{url}/",
        username=None,
        password_file=None,
        tls_ca=None,
        transport=None,
        patience=patience,
        now=lambda: 0,
    )
    try:
        line.exchange("GET", f"{url}/readyz")
    except PartnerError as cause:
        fix = "Ask what stands in front of the server; its words are in its log."
        return warned("public_url", f"{url} answers, and is not ready: {cause.problem}", fix)
    finally:
        line.close()
    return ok("public_url", f"{url} answers here, and is ready; whether from outside, a partner can say")


def _worker(standings: Sequence[LinkStanding], settings: Settings, now: int) -> Finding:
    ours = [one for one in standings if one.link.carrier == "us"]
    if not ours:
        return skipped("worker", "we carry nothing; partners fetch and bring")
    late = [one for one in ours if one.health.state is State.STALE]
    if late:
        text = f"{amount(len(late), 'link')} without a round: {late[0].link.name}: {late[0].health.text}"
        return failed("worker", text, "stixnode run")
    tried = max((one.figures.get("last_success") or 0 for one in ours), default=0)
    waiting = [one for one in ours if one.health.state in (State.PAUSED, State.ENDED)]
    if len(waiting) == len(ours):
        return waits("worker", "every link that we carry is closed", "stixnode status")
    return ok("worker", f"last good round {ago(tried or None, now)}")


def _alerts(tx: Tx, settings: Settings, now: int) -> Iterator[Finding]:
    if not settings.alerts.channels:
        yield warned("alerts", "nobody will be told of faults", "Set mail_to or webhook_url in [alerts].")
        return
    failing = alert_book.broken(tx)
    for one in failing:
        text = f"{one.channel} fails since {ago(one.since, now)}: {one.error}"
        yield failed("alerts", text, "stixnode check --alerts")
    if not failing:
        yield ok("alerts", f"by {', '.join(settings.alerts.names)}; send a test with stixnode check --alerts")


def _backup(settings: Settings, now: int) -> Iterator[Finding]:
    folder = settings.data_dir / backups.FOLDER
    found = [each.stat().st_mtime for each in folder.glob(f"*{NAME_END}")] if folder.is_dir() else []
    if not found:
        yield warned("backup", f"none in {folder}; one elsewhere is not seen from here", "stixnode backup")
        return
    age = now - int(max(found) * MICROSECONDS)
    text = f"the newest in {folder} is {duration(max(age, 0) // MICROSECONDS)} old"
    old = age > OLD_BACKUP_DAYS * endings.DAY
    yield warned("backup", text, "stixnode backup") if old else ok("backup", text)


def _partner(partner: PartnerBinding, standings: Sequence[LinkStanding]) -> Finding:
    """One line for each partner, from our books alone; nothing is asked of it."""
    if not standings:
        return waits(partner.name, "no agreement: nothing crosses", f"stixnode doctor {partner.name}")
    worst = min(standings, key=lambda one: _WORST.index(one.health.state))
    number = sum(one.health.state in FAULTS for one in standings)
    (found,) = look_at_books([worst])
    command = f"stixnode doctor {partner.name}"
    if found.mark == "ok":
        return ok(partner.name, f"{amount(len(standings), 'link')} well")
    count = f"{number} of {len(standings)} links, the first " if number else ""
    return Finding(found.mark, partner.name, f"{count}{worst.link.name}: {found.text}", command)


def ready(context: Context) -> Database:
    """The database, opened without putting anything right.

    Raises:
        NodeError: It cannot be used.
    """
    database = web.open_database(context.settings)
    try:
        migrate.check_current(database)
    except NodeError:
        database.close()
        raise
    return database
