"""`ialp world describe`: the simulated users of a reward run."""

from ialp.diagnostics.world import built, finished
from ialp.diagnostics.world_view import describe
from ialp.errors import UserError
from ialp.parser import Parser


def run(arguments: list[str]) -> int:
    """Run `ialp world`."""
    parser = Parser(prog="ialp world", description="The simulated users.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="describe")
    about = "references, answers, lengths, exits and calibration of a world"
    command = commands.add_parser("describe", help=about, allow_abbrev=False)
    add = command.add_argument
    config = "config of a reward model, or of a run on one; built if missing"
    add("--config", action="append", default=[], help=config)
    add("--run", help="folder of a finished reward run, or of a run that was built on one")
    add("--out", help="folder of world.json (default: describe/ in the reward run's folder)")
    add("--data_root", help="folder that holds the data (default: as the config or run says)")
    add("--users", type=int, default=500, help="test users per reference policy (default: 500)")
    command.epilog = "With --config, any further option is one of `ialp fit`."
    chosen, others = parser.parse_known_args(arguments)
    if bool(chosen.config) == bool(chosen.run):
        raise UserError("name the world by --config configs/…_reward.yaml, or by --run runs/…_reward/…")
    if chosen.run and others:
        raise UserError(f"unrecognized arguments: {' '.join(others)}; see ialp world describe --help")
    root = [] if chosen.data_root is None else [f"--data_root={chosen.data_root}"]
    options = [f"--config={each}" for each in chosen.config] + others + root
    describe(finished(chosen.run) if chosen.run else built(options), chosen.out, chosen.data_root, chosen.users)
    return 0
