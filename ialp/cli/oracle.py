"""`ialp oracle`: the judgements that are kept."""

import time
from pathlib import Path

from rich.table import Table

from ialp.errors import UserError
from ialp.oracle.cache import JudgementCache
from ialp.parser import Parser
from ialp.printing import print_table

CACHE = "runs/judgements.sqlite"
STATS, PRUNE = "show who answered how often, and when", "remove judgements of a judge, or of some age"


def run(arguments: list[str]) -> int:
    """Run `ialp oracle`."""
    parser = Parser(prog="ialp oracle", description="The judgements that are kept.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="stats|prune")
    for name, text in (("stats", STATS), ("prune", PRUNE)):
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        command.add_argument("--cache", default=CACHE, help=f"file of the judgements (default: {CACHE})")
    command.add_argument("--judge", help="only those of this judge: its name, or the beginning of its fingerprint")
    command.add_argument("--older-than", type=float, metavar="DAYS", help="only those asked longer ago")
    chosen = parser.parse_args(arguments)
    if not Path(chosen.cache).is_file():
        raise UserError(f"judgement cache {chosen.cache}: no such file; pre-training makes one, --cache names another")
    cache = JudgementCache(chosen.cache)
    if chosen.command == "stats":
        _print_stats(cache)
    elif not chosen.judge and chosen.older_than is None:
        raise UserError("ialp oracle prune: say which by --judge, --older-than or both; deleting the file drops all")
    else:
        count = cache.prune(chosen.judge or None, chosen.older_than)
        print(f"removed {count:,} judgements from {chosen.cache}, {len(cache):,} are left")
    return 0


def _print_stats(cache: JudgementCache) -> None:
    table = Table("judge", "fingerprint", box=None, pad_edge=False)
    table.add_column("judgements", justify="right")
    table.add_column("first asked")
    table.add_column("last asked")
    for name, fingerprint, count, *times in cache.stats():
        shown = (time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) for seconds in times)
        table.add_row(name, fingerprint[:8], f"{count:,}", *shown)
    print_table(table)
    print(f"{cache.path}: {len(cache):,} judgements, {Path(cache.path).stat().st_size / 1e6:.1f} MB")
