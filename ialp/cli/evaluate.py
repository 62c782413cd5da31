"""`ialp evaluate RUN`: a finished policy in a world."""

from ialp.experiment.evaluate import evaluate
from ialp.parser import Parser


def run(arguments: list[str]) -> int:
    """Run `ialp evaluate`."""
    parser = Parser(
        prog="ialp evaluate",
        description="Play a finished policy in a test world: R, Len, R_avg with 95 % intervals, and a row per episode.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", help="folder of a finished pretrain or online run")
    add("--world", help="folder of a finished reward run (default: the one that an online run was built on)")
    add("--users", type=int, default=500, help="test users, one episode each, as far as there are (default: 500)")
    add("--sampled", action="store_true", help="draw actions from the policy instead of taking its most probable one")
    add("--out", help="the Parquet file (default: in the run's folder, named after the world)")
    evaluate(**vars(parser.parse_args(arguments)))
    return 0
