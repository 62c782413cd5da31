"""What a report is made of: data sets, seeds that are missing, folders that were left out, provenance."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ialp.data.rating_log import RatingLog
from ialp.errors import UserError
from ialp.report.collect import Collection
from ialp.report.comparison import PAPER_NAMES, Row, World
from ialp.report.methods import LLM_ONLINE, ORDER
from ialp.report.results import TABLES, paper_figures
from ialp.report.tables import BEST, Cell, Section, Table, row
from ialp.runs.data import RunData
from ialp.runs.open import data_module

SEEDS = {"table3": 10, "table4": 5, "table4b": 5, "table5": 5}
"""Number of seeds that each table wants of a method."""
WITHOUT_LLM_ONLINE = "Coat"
"""The world in which the paper does not compare with LLMOnline."""


def data_table(worlds: Sequence[World], data_root: str | None) -> Table:
    """Table 2: the sizes of the logs, and the paper's."""
    columns = ["data set", "items", "sequences or users", "interactions", "item attributes"]
    table = Table("table2", "Table 2. Data sets", columns)
    ours = Section("this report")
    for world in worlds:
        try:
            ours.rows.append(row(world.label, *_log_sizes(world.reward, data_root)))
        except UserError as error:
            table.notes.append(f"{world.label}: sequences and interactions unknown: {error}")
            items = (world.reward.done.get("data") or {}).get("items") if world.reward else None
            ours.rows.append(row(world.label, items, None, None, "–"))
    printed = [row(name, *sizes, "") for name, sizes in paper_figures()["data"].items()]
    table.sections = [ours, Section("the paper", printed)]
    return table


def coverage_table(worlds: Sequence[World]) -> Table:
    """Seeds that are there, of those that each table wants; what is missing stands in bold."""
    columns = ["method", *(title.partition(".")[0] for _, title, _ in TABLES.values())]
    table = Table("missing", "What is there, and what is missing: seeds of each method", columns)
    by_label = {world.label: world for world in worlds}
    for label in dict.fromkeys([*PAPER_NAMES.values(), *by_label]):
        world = by_label.get(label)
        section = Section(label if world else f"{label}: no run at all")
        for method in ORDER:
            if method != LLM_ONLINE or label != WITHOUT_LLM_ONLINE:
                found = world.row_of(method) if world else None
                section.rows.append(row(method, *(_covered(found, method, key) for key in TABLES)))
        table.sections.append(section)
    table.notes = ["Seeds there, of those wanted; bold where some are missing. –: not wanted there."]
    return table


def missing_places(table: Table) -> int:
    """How many places of the coverage table have fewer seeds than wanted."""
    return sum(cell.rank == BEST for section in table.sections for cells in section.rows for cell in cells)


def folders_table(collection: Collection) -> Table:
    """Folders whose figures are in no table, and why."""
    left = [row(str(each.run.folder), each.reason) for each in collection.folders if each.reason]
    used = [each.online for each in collection.folders if not each.reason]
    note = (
        f"In the tables: {sum(used)} online runs; beside them: {len(used) - sum(used)} finished runs of other stages."
    )
    return Table(
        "folders", "Folders that are not in the tables", ["folder", "is"], [Section("", left)], [note], words=True
    )


def provenance_table(collection: Collection) -> Table:
    """How the runs in the tables were made, and what they were built on, config by config."""
    columns = ["config", "seeds", "seconds each", "finished", "code", "command"]
    by_config: dict[str, list[RunData]] = defaultdict(list)
    for run in collection.lineage:
        by_config[str(run.done.get("stage") or run.name)].append(run)
    section = Section("", [row(config, *_provenance(config, runs)) for config, runs in by_config.items()])
    total = sum(float(run.done.get("seconds", 0)) for run in collection.lineage)
    notes = [
        f"Wall time of all these runs together: {total / 3600:.1f} hours. Settings that a command line changed are in "
        "each run's config.yaml."
    ]
    versions = {", ".join(f"{k} {v}" for k, v in (r.done.get("versions") or {}).items()) for r in collection.lineage}
    notes += [f"Versions: {line}." for line in sorted(versions) if line]
    return Table("provenance", "Provenance", columns, [section], notes, words=True)


def _log_sizes(reward: RunData | None, data_root: str | None) -> tuple[int, int, int, str]:
    """Items, sequences or users, interactions and attributes of the log that a world's reward model was trained on."""
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
        sequences, interactions = log.num_users, len(log.rated) + len(log.rated_at_random)
    else:
        sequences, interactions = len(log.train) + len(log.test), len(log.train.items) + len(log.test.items)
    return log.catalogue.num_items, sequences, interactions, "; ".join(log.attribute_names)


def _covered(found: Row | None, method: str, key: str) -> Cell:
    """Seeds there, of those that a table wants."""
    moment, _, methods = TABLES[key]
    if method not in methods:
        return Cell(None)
    there = len(found.values(moment, "return")) if found else 0
    return Cell(there) if there >= SEEDS[key] else Cell(f"{there} of {SEEDS[key]}", BEST)


def _provenance(config: str, runs: Sequence[RunData]) -> Iterator[str]:
    """Seeds, seconds, days, commits and command of one config's runs."""
    seeds = sorted({int(run.done.get("seed", 0)) for run in runs})
    yield ", ".join(map(str, seeds))
    yield _span(f"{seconds:,.0f}" for seconds in sorted(float(run.done.get("seconds", 0)) for run in runs))
    yield _span(sorted(str(run.done.get("finished", ""))[:10] for run in runs))
    yield ", ".join(sorted({str(run.done.get("code") or "installed package")[:9] for run in runs}))
    yield f"ialp fit --config configs/{config}.yaml --seed_everything {seeds[0] if len(seeds) == 1 else 'SEED'}"


def _span(ordered: Iterable[str]) -> str:
    """First and last of what is in order; one where they are the same."""
    first, *_, last = [*(each := list(ordered)), each[-1]]
    return first if first == last else f"{first} – {last}"
