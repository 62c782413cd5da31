"""--config or --run: how `ialp world describe` names the run that it looks at."""

from argparse import ArgumentParser, Namespace

from ialp.errors import UserError


def add_run_options(parser: ArgumentParser, config: str, run: str, out: str) -> None:
    """Add --config, --run, --out and --data_root with these lines of help."""
    add = parser.add_argument
    add("--config", action="append", default=[], help=config)
    add("--run", help=run)
    add("--out", help=out)
    add("--data_root", help="folder that holds the data (default: as the config or run says)")
    parser.epilog = "With --config, any further option is one of `ialp fit`."


def fit_arguments(chosen: Namespace, others: list[str], command: str, what: str, stage: str) -> list[str]:
    """Arguments of `ialp fit` for the run that --config names; of no use where --run does.

    Raises:
        UserError: Not one of --config and --run is given, or an option that is unknown.
    """
    if bool(chosen.config) == bool(chosen.run):
        raise UserError(f"name the {what} by --config configs/…_{stage}.yaml, or by --run runs/…_{stage}/…")
    if chosen.run and others:
        raise UserError(f"unrecognized arguments: {' '.join(others)}; see {command} --help")
    root = [] if chosen.data_root is None else [f"--data_root={chosen.data_root}"]
    return [f"--config={each}" for each in chosen.config] + others + root
