"""`ialp world describe`: the simulated users of a reward run."""

from ialp.cli.run_options import add_run_options, fit_arguments
from ialp.diagnostics.world import built, finished
from ialp.diagnostics.world_view import describe
from ialp.parser import Parser


def run(arguments: list[str]) -> int:
    """Run `ialp world`."""
    parser = Parser(prog="ialp world", description="The simulated users.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="describe")
    about = "references, answers, lengths, exits and calibration of a world"
    command = commands.add_parser("describe", help=about, allow_abbrev=False)
    add_run_options(
        command,
        config="config of a reward model, or of a run on one; built if missing",
        run="folder of a finished reward run, or of a run that was built on one",
        out="folder of world.json (default: describe/ in the reward run's folder)",
    )
    command.add_argument("--users", type=int, default=500, help="test users per reference policy (default: 500)")
    chosen, others = parser.parse_known_args(arguments)
    options = fit_arguments(chosen, others, "ialp world describe", "world", "reward")
    world = finished(chosen.run) if chosen.run else built(options)
    describe(world, chosen.out, chosen.data_root, chosen.users)
    return 0
