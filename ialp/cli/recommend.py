"""`ialp recommend`: the items that a finished policy would show next."""

import json
import sys
from argparse import RawDescriptionHelpFormatter

from ialp.errors import UserError
from ialp.parser import Parser
from ialp.serving.opening import open_finished
from ialp.serving.recommend import history_of, recommend, split_ids, table

DESCRIPTION = """\
Print the items that the policy of a finished run would show next: rank, probability, the catalogue's own id,
text.

A history is what a user has been shown so far, oldest first, as the catalogue's own ids, separated by commas. An id
with a comma in it stands in double quotes, as in CSV: --history '12,"a, b",7'. Of more items than the policy reads
the latest count; what was shown before them is not shown again either. Where users are known by features (Coat), a
history begins with one: --user 17."""


def run(arguments: list[str]) -> int:
    """Run `ialp recommend`."""
    parser = Parser(
        prog="ialp recommend", description=DESCRIPTION, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="folder of a finished pretrain or online run")
    add(
        "--history", default="", help="id,id,… of what was shown; - reads them from standard input, on one line or many"
    )
    add("--user", type=int, help="number of the user, from 0, where users are known by features")
    add("--top", type=int, default=10, help="how many items (default: 10)")
    add("--format", choices=["table", "json"], default="table", help="json: one array of objects (default: table)")
    add("--data_root", help="folder that holds the data (default: as the run says)")
    chosen = parser.parse_args(arguments)
    if chosen.top < 1:
        raise UserError(f"--top is {chosen.top}: it must be at least 1")
    ids = split_ids(sys.stdin.read() if chosen.history == "-" else chosen.history)
    finished = open_finished(chosen.ckpt, chosen.data_root)
    rows = recommend(finished, history_of(finished, ids, chosen.user), chosen.top)
    print(json.dumps(rows, indent=2, ensure_ascii=False) if chosen.format == "json" else table(rows))
    return 0
