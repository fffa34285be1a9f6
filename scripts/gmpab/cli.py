"""Options, and what they start."""

import argparse
import os
import re
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from . import baseline, charts, files, machine, markdown, page, peers, table
from .measure import Plan, stdin_path
from .model import SIDES, Comparison, Report
from .parse import FORMATS
from .process import Failed, Tools
from .rounds import measure_point
from .suite import Entry, read_suite

EPILOG = """\
A ratio above 1 says that the shim is better. Its interval holds the true ratio in 95 of
100 cases; where it holds 1, the difference is noise. docs/benchmarking.md says what
each figure means.

examples:
  gmp-ab -- xz -T4 -k -c file
  gmp-ab --sweep N=10,100,1000 --html out.html -- ./threads {N}
  gmp-ab --wait-port 6379 --load 'redis-benchmark -q -t get' -- redis-server
"""


class Parser(argparse.ArgumentParser):
    """One line about what is wrong, not the usage again."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def number(least: float, most: float, whole: bool = True):
    kind = int if whole else float

    def convert(text: str) -> Any:
        try:
            if least <= (found := kind(text)) <= most:
                return found
        except ValueError:
            pass
        what = "a whole number" if whole else "a number"
        raise argparse.ArgumentTypeError(
            f"{text!r} is not accepted: {what} from {least:g} to {most:g}"
        )

    return convert


def wrong(text: str, accepted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not accepted: {accepted}")


def address(text: str) -> tuple[str, int] | str:
    if text.startswith("/"):
        return text
    host, _, port = text.rpartition(":")
    if port.isdigit() and 0 < int(port) < 65536:
        return (host.strip("[]") or "127.0.0.1", int(port))
    raise wrong(text, "PORT (1 to 65535), HOST:PORT, or the path of a socket")


def sweep(text: str) -> tuple[str, list[str]]:
    name, equals, rest = text.partition("=")
    values = [v for v in rest.split(",") if v]
    if not (equals and name.isidentifier() and values):
        raise wrong(text, "NAME=VALUE,VALUE,... such as N=10,100,1000")
    return name, values


def peer(text: str) -> tuple[str, list[str]]:
    name, _, command = text.partition("=")
    if not (name.strip() and command.strip()) or name in SIDES:
        raise wrong(text, f"NAME=COMMAND, and the name not {' or '.join(SIDES)}")
    return name, shlex.split(command)


def alive(text: str) -> str:
    if text.isdigit() or re.fullmatch(r"\{\w+\}", text):
        return text
    raise wrong(text, "a whole number, or {NAME} of the sweep")


def note(text: str) -> tuple[str, str]:
    name, _, rest = text.partition("=")
    if not (name and rest):
        raise wrong(text, "NAME=TEXT")
    return name, rest


def metric(text: str) -> tuple[str, re.Pattern[str]]:
    name, _, expression = text.partition("=")
    try:
        pattern = re.compile(expression, re.M)
    except re.error as e:
        raise wrong(text, f"the regular expression has an error: {e}") from None
    if not (name and pattern.groups):
        raise wrong(text, "NAME=REGEX with a group in parentheses about the number")
    return name, pattern


def setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and re.fullmatch(r"GMP_SHIM_[A-Z]+", name)):
        raise wrong(text, "GMP_SHIM_NAME=VALUE")
    return name, value


def readable(text: str) -> str:
    try:
        return stdin_path(text)
    except ValueError:
        raise wrong(text, "a file that can be read") from None


def writable(text: str) -> Path:
    path = Path(text)
    if text == "-" or path.parent.is_dir() and not path.is_dir():
        return path
    raise wrong(text, "a file in a folder that is there")


def comparison_options(parser: argparse.ArgumentParser) -> None:
    """Those that a line of a suite may have as well."""
    add = parser.add_argument
    add("--load", metavar="CMD", help="server mode: the load, run by sh")
    add("--peer", metavar="NAME=CMD", type=peer,
        help="a third side: another program that does the same, run natively")
    add("--alive", metavar="N", type=alive,
        help="it has so many threads at once: not natively where the kernel cannot")
    add("--wait-port", metavar="PORT", type=address,
        help="PORT, HOST:PORT or the path of a socket: where the server listens")
    add("--prepare", metavar="CMD",
        help="server mode: run once the server listens, not measured")
    add("--check", metavar="CMD",
        help="has to succeed after each run; $GMP_AB_STDOUT, $GMP_AB_SIDE tell of it")
    add("--same-output", action="store_true",
        help="standard output has to be the same each time")
    add("--format", choices=FORMATS,
        help="whose figures to look for in the output (a load's: auto; else none)")
    add("--own-pace", action="store_true",
        help="how much the program does depends on how fast it is (so long, not so "
        "much): leave out times and counts of the whole run")
    add("--metric", metavar="NAME[UNIT]=REGEX", type=metric, action="append",
        default=[], help="a figure of the output; the group has the number")
    add("--higher", metavar="NAME", action="append", default=[],
        help="this figure is better when higher, as those in UNIT/s are")
    add("--sweep", metavar="NAME=V,V,...", type=sweep,
        help="{NAME} in the command, --load, --check and --prepare takes each value")
    add("--set", metavar="GMP_SHIM_X=V", type=setting, action="append", default=[],
        help="a setting for the shim")
    add("--stdin", metavar="FILE", type=readable, help="standard input (nothing)")
    add("--timeout", metavar="S", type=number(0.1, 86400, whole=False), default=300.0,
        help="longest run, in seconds (%(default)g)")
    add("--start-timeout", metavar="S", type=number(0.1, 3600, whole=False),
        default=30.0, help="longest wait for a server's port (%(default)g)")
    add("command", nargs="*", metavar="-- command", help=argparse.SUPPRESS)


def parser() -> Parser:
    p = Parser(
        prog="gmp-ab",
        usage="gmp-ab [options] -- command [argument ...]\n"
        "       gmp-ab [options] --wait-port PORT --load 'CMD' -- server [argument ...]\n"
        "       gmp-ab [options] --suite FILE | --from FILE | --compare OLD NEW",
        description="Runs a program natively and under the shim in turns, and says "
        "what differs and whether it is noise.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = p.add_argument
    add("--runs", "-n", metavar="N", type=number(1, 10000), default=10,
        help="rounds, each with a run of either side (%(default)s)")
    add("--warmup", "-w", metavar="N", type=number(0, 1000), default=1,
        help="rounds before them that are thrown away (%(default)s)")
    add("--json", metavar="FILE", type=writable, help="everything; - is the screen")
    add("--csv", metavar="FILE", type=writable, help="a line for each figure of a run")
    add("--html", metavar="FILE", type=writable, help="one page with charts")
    add("--markdown", metavar="FILE", type=writable,
        help="one table of all, with charts as SVG files beside it")
    add("--note", metavar="NAME=TEXT", type=note, action="append", default=[],
        help="to be told with the properties of the machine")
    add("--suite", metavar="FILE", type=readable,
        help="comparisons from a file: lines of 'name: [options] -- command'")
    add("--only", metavar="REGEX", type=lambda t: metric(f"x=({t})")[1],
        help="of a suite, those whose name matches")
    add("--from", metavar="FILE", type=readable, dest="source",
        help="measure nothing: show a file that --json wrote")
    add("--compare", nargs=2, metavar=("OLD", "NEW"), type=readable,
        help="measure nothing: what got better or worse between two such files")
    add("--threshold", metavar="PERCENT", type=number(0, 1000, whole=False),
        default=5.0, help="with --compare: smaller changes are none (%(default)g)")
    comparison_options(p)
    return p


def check_entry(p: Parser, o: argparse.Namespace) -> None:
    """What one option alone cannot know."""
    if not o.command:
        p.error("no command: gmp-ab [options] -- command [argument ...]")
    if (o.load is None) != (o.wait_port is None):
        p.error("--load and --wait-port go together: the one without the other")
    if o.prepare and o.load is None:
        p.error("--prepare is for servers: with --load and --wait-port")
    if o.own_pace and o.load is None and not (o.metric or o.format):
        p.error("--own-pace: then figures of its own are needed: --format or --metric")
    if o.same_output and o.load is not None:
        p.error("--same-output is not for servers; --check CMD can look at the result")
    if o.alive and not o.peer:
        p.error("--alive: with the native side left out there is nothing to compare")
    if o.alive and not (o.alive.isdigit() or o.sweep and o.sweep[0] == o.alive[1:-1]):
        p.error(f"--alive {o.alive}: no such --sweep")
    if o.sweep:
        mark = "{" + o.sweep[0] + "}"
        texts = [*o.command, o.load or ""]
        if not any(mark in text for text in texts):
            p.error(
                f"--sweep {o.sweep[0]}: {mark} is neither in the command nor in --load"
            )


def entry(name: str, o: argparse.Namespace) -> Entry:
    form = o.format or ("none" if o.load is None else "auto")
    higher = [n.partition("[")[0] for n in o.higher]
    return Entry(
        Comparison(
            name, o.command, o.load, o.sweep[0] if o.sweep else None,
            peer=o.peer and o.peer[0],
        ),
        o.sweep[1] if o.sweep else [None],
        lambda tools: Plan(
            tools, o.command, o.peer and o.peer[1], o.alive, o.load, o.wait_port,
            o.prepare, o.check, o.same_output, form, o.own_pace, o.metric, higher,
            dict(o.set), o.stdin, o.timeout, o.start_timeout,
        ),
    )


def substituted(plan: Plan, variable: str | None, value: str | None) -> Plan:
    if variable is None or value is None:
        return plan

    def put(text: str | None) -> str | None:
        return text and text.replace("{" + variable + "}", value)

    return replace(
        plan,
        command=[put(word) for word in plan.command],
        peer=plan.peer and [put(word) for word in plan.peer],
        alive=put(plan.alive), load=put(plan.load), prepare=put(plan.prepare), check=put(plan.check),
    )


def measure(entries: list[Entry], tools: Tools, o, report: Report, screen: Console):
    """All of them; what fails is said and the others go on."""
    points = sum(len(e.values) * len(e.comparison.sides) for e in entries)
    total = points * (o.runs + o.warmup)
    with table.progress(screen, total) as advance:
        for e in entries:
            report.comparisons.append(e.comparison)
            name = e.comparison.name
            try:
                for value in e.values:
                    at = f" {e.comparison.variable}={value}" if value else ""
                    plan = substituted(e.plan(tools), e.comparison.variable, value)
                    measure_point(
                        plan, e.comparison, value, o.runs, o.warmup,
                        lambda what: advance(f"{name}{at}: {what}"),
                    )
            except Failed as failure:
                e.comparison.problems.append(str(failure))


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: list[str], beside: Path) -> int:
    p = parser()
    o = p.parse_args(argv)
    modes = [bool(o.command), bool(o.suite), bool(o.source), bool(o.compare)]
    if sum(modes) > 1:
        p.error("a command, --suite, --from and --compare exclude one another")
    if o.only and not o.suite:
        p.error("--only is for --suite")
    if o.markdown and str(o.markdown) == "-":
        p.error("--markdown: a file: charts go beside it")
    if o.markdown and not charts.available():
        p.error("--markdown needs matplotlib: scripts/install-deps reference")
    if o.html and not page.LIBRARY.is_file():
        p.error(f"--html needs {page.LIBRARY}: scripts/install-deps bench installs it")
    screen = Console(stderr=True)
    try:
        if o.compare:
            return baseline.show(*o.compare, o.threshold)
        if o.source:
            report = files.read(Path(o.source))
        else:
            facts, began = machine.describe()
            report = Report(facts | dict(o.note), began)
            run(p, o, report, beside, screen)
    except Failed as failure:
        p.exit(2, f"gmp-ab: {failure}\n")
    write(o, report)
    for c in report.comparisons:
        for problem in c.problems:
            print(f"gmp-ab: {c.name}: {problem}", file=sys.stderr)
    if report.interrupted:
        print("gmp-ab: interrupted: the figures are partial", file=sys.stderr)
        return 130
    return 1 if any(c.problems for c in report.comparisons) else 0


def run(p: Parser, o, report: Report, beside: Path, screen: Console) -> None:
    tools = Tools.find(beside)
    if o.suite:

        def line(name: str, words: list[str]) -> Entry:
            options = p.parse_args([*shared(o), *words])
            check_entry(p, options)
            return entry(name, options)

        entries = read_suite(Path(o.suite), o.only, line)
    else:
        check_entry(p, o)
        entries = [entry(os.path.basename(o.command[0]), o)]
    # Not only ^C: whoever ends us wants nothing to stay either.
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, interrupt)
    try:
        measure(entries, tools, o, report, screen)
    except KeyboardInterrupt:
        report.interrupted = True


def shared(o: argparse.Namespace) -> list[str]:
    """Options of the command line that hold for each line of a suite."""
    return [f"--timeout={o.timeout}", *(f"--set={n}={value}" for n, value in o.set)]


def write(o: argparse.Namespace, report: Report) -> None:
    if not o.json or str(o.json) != "-":
        peers.show(report) if peers.any_in(report) else table.show(report)
    if o.json:
        files.write_json(report, o.json)
    if o.csv:
        files.write_csv(report, o.csv)
    if o.html:
        page.write(report, o.html)
    if o.markdown:
        markdown.write(report, o.markdown)
