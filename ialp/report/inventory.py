"""What a report is made of: data sets, seeds that are missing, folders that were left out, provenance."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ialp.data.rating_log import RatingLog
from ialp.errors import UserError
from ialp.report.collect import Collection
from ialp.report.comparison import END, PAPER_NAMES, World
from ialp.report.methods import LLM_ONLINE, ORDER
from ialp.report.results import paper_figures
from ialp.report.tables import BEST, Cell, Table, row
from ialp.runs.data import RunData
from ialp.runs.open import data_module

SEEDS = 5  # asked of a method


def data_table(worlds: Sequence[World], data_root: str | None) -> Table:
    """Table 2: the sizes of the logs, and the paper's."""
    table = Table("table2", "Table 2. Data sets", ["data set", "items", "sequences or users", "interactions"])
    ours = table.sections["this report"] = []
    for world in worlds:
        try:
            ours.append(row(world.label, *_log_sizes(world.reward, data_root)))
        except UserError as error:
            table.notes.append(f"{world.label}: sizes unknown: {error}")
    table.sections["the paper"] = [row(name, *sizes) for name, sizes in paper_figures()["data"].items()]
    return table


def missing_table(worlds: Sequence[World]) -> Table:
    """Seeds that are there at the end of training, of those that are asked; what is missing stands in bold."""
    by_label = {world.label: world for world in worlds}
    labels = [*dict.fromkeys([*PAPER_NAMES.values(), *by_label])]
    table = Table("missing", f"What is missing: seeds of each method, {SEEDS} asked", ["method", *labels])
    rows = table.sections[""] = []
    for method in ORDER:
        cells = []
        for label in labels:
            found = [each for each in by_label[label].main_rows if each.base == method] if label in by_label else []
            there = len(found[0].values(END, "return")) if found else 0
            unwanted = method == LLM_ONLINE and label == PAPER_NAMES["coat"]  # the paper does not compare with it there
            cells.append(Cell(None) if unwanted else Cell(there, 0 if there >= SEEDS else BEST))
        rows.append(row(method, *cells))
    return table


def folders_table(collection: Collection) -> Table:
    """Folders whose figures are in no table, and why."""
    rows = [row(str(folder), reason) for folder, reason in collection.left_out.items()]
    return Table("folders", "Folders that are not in the tables", ["folder", "is"], {"": rows}, words=True)


def provenance_table(collection: Collection) -> Table:
    """Seeds, seconds and commits of the runs in the tables and of what they were built on, by config."""
    by_config: dict[str, list[RunData]] = defaultdict(list)
    for run in collection.lineage:
        by_config[str(run.done.get("stage") or run.name)].append(run)
    table = Table("provenance", "Provenance", ["config", "seeds", "seconds in all", "code"], {"": []}, words=True)
    for config, runs in by_config.items():
        seeds = ", ".join(map(str, sorted({int(run.done.get("seed", 0)) for run in runs})))
        seconds = f"{sum(float(run.done.get('seconds', 0)) for run in runs):,.0f}"
        code = ", ".join(sorted({str(run.done.get("code") or "installed")[:9] for run in runs}))
        table.sections[""].append(row(config, seeds, seconds, code))
    versions = {", ".join(f"{k} {v}" for k, v in (r.done.get("versions") or {}).items()) for r in collection.lineage}
    table.notes = [f"Versions: {line}." for line in sorted(versions) if line]
    return table


def _log_sizes(reward: RunData | None, data_root: str | None) -> tuple[int, int, int]:
    """Items, sequences or users, and interactions of the log that a world's reward model was trained on."""
    if reward is None:
        raise UserError("its reward run is not there")
    log_config = ((reward.config.get("data") or {}).get("init_args") or {}).get("log") or {}
    root = (log_config.get("init_args") or {}).get("root")
    if root and data_root is None and not Path(str(root)).is_dir():
        raise UserError("its data lies elsewhere now; give --data_root")
    log = data_module(reward, data_root if root else None).source.load()
    if log.fingerprint != (reward.done.get("data") or {}).get("fingerprint"):
        raise UserError("the data at --data_root is not what its reward model was trained on")
    if isinstance(log, RatingLog):
        return log.catalogue.num_items, log.num_users, len(log.rated) + len(log.rated_at_random)
    interactions = len(log.train.items) + len(log.test.items)
    return log.catalogue.num_items, len(log.train) + len(log.test), interactions
