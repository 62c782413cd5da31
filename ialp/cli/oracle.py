"""`ialp oracle`: report on a judge, and the judgements that are kept."""

import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from ialp.cli.run_options import add_run_options, fit_arguments
from ialp.oracle.cache import JudgementCache
from ialp.oracle.maintenance import existing_cache, prune, stats
from ialp.oracle.transfer import export_judgements, import_judgements, read_judgements
from ialp.parser import Parser
from ialp.printing import print_table

CACHE = "runs/judgements.sqlite"
REPORT = "what a judge is worth, on held-out interactions, beside chance and word overlap"


def run(arguments: list[str]) -> int:
    """Run `ialp oracle`."""
    parser = Parser(prog="ialp oracle", description="A judge, and the judgements that are kept.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(["report", *COMMANDS]))
    _add_report(commands.add_parser("report", help=REPORT, description=REPORT, allow_abbrev=False))
    for name, (_, text, options) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        command.add_argument("--cache", default=CACHE, help=f"file of the judgements (default: {CACHE})")
        for flag, about in options.items():
            command.add_argument(flag, **about)
    if arguments[:1] == ["report"]:
        _report(*parser.parse_known_args(arguments))
    else:
        chosen = parser.parse_args(arguments)
        COMMANDS[chosen.command][0](chosen)
    return 0


def _add_report(parser: Any) -> None:
    add_run_options(
        parser,
        config="config of an oracle's tuning; the judge is tuned if it is not",
        run="folder of a finished oracle run",
        out="folder of oracle.png and oracle.json (default: report/ in the oracle run's folder)",
    )
    add = parser.add_argument
    add("--untuned", action="store_true", help="examine the judge as it comes")
    add("--cache", help="judgement cache (default: judgements.sqlite in the runs folder)")
    add("--questions", type=int, default=500, help="held-out interactions, each asked four times (default: 500)")
    add("--attacked", type=int, default=100, help="of these, asked again with each injected title (default: 100)")
    add("--budget", type=int, help="prompts that the judge may be asked at most")
    add("--price", type=float, help="of a million tokens, in any currency")


def _report(chosen: Namespace, others: list[str]) -> None:
    from ialp.diagnostics.oracle_report import built, finished, report

    options = fit_arguments(chosen, others, "ialp oracle report", "judge", "oracle")
    report(finished(chosen.run) if chosen.run else built(options), chosen)


def _stats(chosen: Namespace) -> None:
    cache = existing_cache(chosen.cache)
    table = Table("judge", "fingerprint", box=None, pad_edge=False)
    for title in ("judgements", "labels", "None picked"):
        table.add_column(title, justify="right")
    table.add_column("first asked")
    table.add_column("last asked")
    for row in stats(cache):
        labels = "–".join(dict.fromkeys(str(row[key]) for key in ("fewest", "most")))
        times = (_minute(row["first"]), _minute(row["last"]))
        table.add_row(
            row["judge"], row["fingerprint"][:8], f"{row['judgements']:,}", labels, f"{row['none']:.1%}", *times
        )
    if table.row_count:
        print_table(table)
    files = (Path(chosen.cache), Path(f"{chosen.cache}-wal"))  # the second: what is not yet worked into the first
    size = sum(file.stat().st_size for file in files if file.is_file())
    print(f"{chosen.cache}: {len(cache):,} judgements, {size / 1e6:.1f} MB")


def _minute(seconds: int | None) -> str:
    return "unknown" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _export(chosen: Namespace) -> None:
    count = export_judgements(existing_cache(chosen.cache), Path(chosen.out))
    print(f"written: {chosen.out}, {count:,} judgements")


def _import(chosen: Namespace) -> None:
    for file in chosen.files:
        table = read_judgements(Path(file))
        new = import_judgements(JudgementCache(chosen.cache), table)
        print(f"{file}: {len(table):,} judgements, {new:,} new in {chosen.cache}")


def _prune(chosen: Namespace) -> None:
    cache = existing_cache(chosen.cache)
    before = len(cache)
    count = prune(cache, chosen.judge, chosen.older_than, chosen.dry_run)
    if chosen.dry_run:
        print(f"would remove {count:,} of {before:,} judgements from {chosen.cache}")
    else:
        print(f"removed {count:,} judgements from {chosen.cache}, {before - count:,} are left")


def _days(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text} is no number of days")
    return value


OUT = {"required": True, "help": "Parquet file to write"}
FILES = {"nargs": "+", "help": "Parquet files that `ialp oracle export` has written"}
JUDGE = {"help": "only those of this judge: its name, or the beginning of its fingerprint"}
OLDER = {"type": _days, "metavar": "DAYS", "help": "only those asked longer ago, or nobody knows when"}
DRY_RUN = {"action": "store_true", "help": "say how many, and remove none"}
COMMANDS: dict[str, tuple[Callable[[Namespace], None], str, dict[str, Any]]] = {
    "stats": (_stats, "show who answered how often, and what", {}),
    "export": (_export, "write all judgements as Parquet", {"--out": OUT}),
    "import": (_import, "take over judgements from Parquet; what is known stays as it is", {"files": FILES}),
    "prune": (_prune, "remove judgements", {"--judge": JUDGE, "--older-than": OLDER, "--dry-run": DRY_RUN}),
}
