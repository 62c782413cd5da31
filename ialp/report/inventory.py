"""What a report is made of: data sets, coverage and what is missing, folders that were left out, provenance."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ialp.errors import UserError
from ialp.report.collect import ONLINE, STAGE, Collection
from ialp.report.comparison import END, PAPER_NAMES, Row, World
from ialp.report.methods import BASELINES, EXPLORATIONS, FROZEN, LLM_ONLINE, OURS
from ialp.report.result_tables import TABLES, paper_figures
from ialp.report.tables import BEST, Cell, Section, Table, text_cells
from ialp.runs.data import RunData

SEEDS = {"table3": 10, "table4": 5, "table4b": 5, "table5": 5, "figures": 3}
"""Seeds that each table, and the figures, want."""
WITH_LLM_ONLINE = ("LFM", "Industry")
"""Worlds in which the paper compares with LLMOnline and under several explorations (Figures 8 to 11)."""


def data_table(worlds: Sequence[World], data_root: str | None) -> Table:
    """Table 2: what the logs hold, beside the paper's."""
    columns = ["data set", "items", "sequences or users", "interactions", "item attributes"]
    table = Table("table2", "Table 2. Data sets", columns)
    table.sections = [Section("this report"), Section("the paper")]
    for world in worlds:
        try:
            known = _data_statistics(world.reward, data_root)
        except UserError as error:
            table.notes.append(f"{world.label}: sequences and interactions unknown: {error}")
            known = {"items": _known_items(world.reward)}
        shown = [f"{known[key]:,}" if known.get(key) else "–" for key in ("items", "sequences", "interactions")]
        table.sections[0].rows.append(text_cells([world.label, *shown, known.get("attributes", "–")]))
        table.records.append({"source": "this report", "data": world.label} | known)
    for name, (items, sequences, interactions) in paper_figures()["data"].items():
        table.sections[1].rows.append(text_cells([name, f"{items:,}", f"{sequences:,}", f"{interactions:,}", ""]))
        record = {"items": items, "sequences": sequences, "interactions": interactions}
        table.records.append({"source": "the paper", "data": name} | record)
    return table


def coverage_table(worlds: Sequence[World]) -> Table:
    """Seeds that are there, of those that each table wants; what is missing stands in bold, and in the CSV."""
    columns = ["method", *(TABLES[key][1].partition(".")[0] for key in TABLES), "figures"]
    table = Table("missing", "What is there, and what is missing: seeds of each method", columns)
    by_label = {world.label: world for world in worlds}
    for label in [*dict.fromkeys([*PAPER_NAMES.values(), *by_label])]:
        world = by_label.get(label)
        section = Section(label if world else f"{label}: no run at all")
        for method, exploration in _wanted_rows(label, world):
            row = _find(world, method, exploration)
            cells = [_covered(table, label, row, method, exploration, key) for key in [*TABLES, "figures"]]
            name = method if exploration is None else f"{method}, {exploration}"
            section.rows.append([Cell(name), *cells])
        table.sections.append(section)
    table.notes = ["Seeds there, of those wanted; bold where some are missing. –: not wanted there."]
    return table


def folders_table(collection: Collection) -> Table:
    """Folders whose figures are in no table, and why."""
    table = Table("folders", "Folders that are not in the tables", ["folder", "is", "because"], words=True)
    left = [each for each in collection.folders if each.state not in (ONLINE, STAGE)]
    table.sections = [Section("", [text_cells([each.path, each.state, each.said]) for each in left])]
    table.records = [{"folder": str(each.path), "state": each.state, "why": each.said} for each in left]
    used = len(collection.of_state(ONLINE)), len(collection.of_state(STAGE))
    table.notes = [f"In the tables: {used[0]} online runs; {used[1]} finished runs of other stages lie beside them."]
    return table


def provenance_table(collection: Collection) -> Table:
    """How each run that is shown was made, and what it was built on."""
    columns = ["config", "seeds", "seconds each", "finished", "code", "command"]
    table = Table("provenance", "Provenance", columns, words=True)
    by_config: dict[str, list[RunData]] = defaultdict(list)
    for run in lineage(collection):
        by_config[str(run.done.get("stage") or run.name)].append(run)
    section = Section("")
    for config, runs in by_config.items():
        seeds = sorted({int(run.done.get("seed", 0)) for run in runs})
        seconds = [float(run.done.get("seconds", 0)) for run in runs]
        days = sorted({str(run.done.get("finished", ""))[:10] for run in runs})
        codes = sorted({str(run.done.get("code") or "installed package")[:9] for run in runs})
        command = f"ialp fit --config configs/{config}.yaml --seed_everything {seeds[0] if len(seeds) == 1 else 'SEED'}"
        when = " – ".join(dict.fromkeys((days[0], days[-1])))
        shown = [config, _spans(seeds), _range(seconds), when, ", ".join(codes), command]
        section.rows.append(text_cells(shown))
    table.records = [_provenance_record(run) for run in lineage(collection)]
    table.sections = [section]
    total = sum(float(run.done.get("seconds", 0)) for run in lineage(collection))
    table.notes = [
        f"Wall time of all these runs together: {total / 3600:.1f} hours. Settings that a command line changed are in "
        "each run's config.yaml.",
        *versions(collection),
    ]
    return table


def versions(collection: Collection) -> list[str]:
    """Each set of versions that runs were made with, in a line."""
    found = {", ".join(f"{k} {v}" for k, v in (run.done.get("versions") or {}).items()) for run in lineage(collection)}
    return [f"Versions: {line}." for line in sorted(found) if line]


def lineage(collection: Collection) -> list[RunData]:
    """The runs that are shown and all that they were built on, each once, inputs first."""
    found: dict[Any, RunData] = {}
    for measured in collection.measured:
        found.update((run.folder.resolve(), run) for run in measured.run.lineage if run.done)
    return list(found.values())


def _data_statistics(reward: RunData | None, data_root: str | None) -> dict[str, Any]:
    """Sizes of the log that a world's reward model learnt from."""
    from ialp.data.rating_log import RatingLog
    from ialp.runs.open import data_module

    if reward is None:
        raise UserError("its reward run is not there")
    if data_root is None and (reward.config.get("data_root") is not None) and not _root_exists(reward):
        raise UserError("its data lies elsewhere now; give --data_root")
    log = data_module(reward, data_root if _root_is_known(reward) else None).source.load()
    if log.fingerprint != (reward.done.get("data") or {}).get("fingerprint"):
        raise UserError("the data at --data_root is not what its reward model learnt from")
    if isinstance(log, RatingLog):
        sequences, interactions = log.num_users, len(log.rated) + len(log.rated_at_random)
    else:
        sequences, interactions = len(log.train) + len(log.test), len(log.train.items) + len(log.test.items)
    attributes = "; ".join(log.attribute_names)
    known = {"items": log.catalogue.num_items, "sequences": sequences, "interactions": interactions}
    return known | {"attributes": attributes}


def _root_is_known(reward: RunData) -> bool:
    log = ((reward.config.get("data") or {}).get("init_args") or {}).get("log") or {}
    return bool((log.get("init_args") or {}).get("root"))


def _root_exists(reward: RunData) -> bool:
    from pathlib import Path

    return Path(str(reward.config.get("data_root"))).is_dir()


def _known_items(reward: RunData | None) -> int | None:
    return (reward.done.get("data") or {}).get("items") if reward else None


def _wanted_rows(label: str, world: World | None) -> Iterator[tuple[str, str | None]]:
    """Methods, and explorations of the two that Figures 10 and 11 compare; None: the method as tables show it."""
    with_llm = label not in PAPER_NAMES.values() or label in WITH_LLM_ONLINE
    llm = [LLM_ONLINE] if with_llm else []
    yield from ((method, None) for method in (*BASELINES, *llm, FROZEN, *OURS))
    if with_llm:
        yield from ((method, name) for method in ("A2C", _explored(world)) for name in EXPLORATIONS.values())


def _explored(world: World | None) -> str:
    """The scheme of A-iALP that was run under most explorations: the paper does not say which its figures have."""
    rows = [row for row in world.rows if not row.variant] if world else []
    return max(OURS, key=lambda base: len({row.method.exploration for row in rows if row.base == base}))


def _find(world: World | None, method: str, exploration: str | None) -> Row | None:
    if world is None:
        return None
    if exploration is None:
        return world.row_of(method)
    rows = (row for row in world.rows if row.base == method and row.method.exploration == exploration)
    return next((row for row in rows if not row.variant), None)


def _covered(table: Table, world: str, row: Row | None, method: str, exploration: str | None, key: str) -> Cell:
    """Seeds there of those wanted by a table or the figures; what is missing is recorded."""
    if key == "figures":
        wanted = 0 if method == FROZEN else SEEDS[key]
    else:
        wanted = SEEDS[key] if method in TABLES[key][2] and exploration is None else 0
    if method == LLM_ONLINE:
        wanted = min(wanted, SEEDS["figures"])
    if not wanted:
        return Cell("–")
    moment = END if key == "figures" else TABLES[key][0]
    seeds = sorted(row.values(moment, "return")) if row else []
    if len(seeds) >= wanted:
        return Cell(str(len(seeds)))
    known = {"world": world, "method": method, "exploration": exploration or "", "for": key}
    table.records.append(known | {"there": len(seeds), "wanted": wanted, "seeds": " ".join(map(str, seeds))})
    return Cell(f"{len(seeds)} of {wanted}", rank=BEST)


def _provenance_record(run: RunData) -> dict[str, Any]:
    done = run.done
    known = {key: done.get(key) for key in ("stage", "seed", "fingerprint", "seconds", "finished", "code")}
    return {"run": str(run.folder)} | known | (done.get("versions") or {})


def _spans(numbers: Sequence[int]) -> str:
    """0, 1, 2, 5 as "0–2, 5"."""
    spans: list[list[int]] = []
    for each in numbers:
        if spans and each == spans[-1][-1] + 1:
            spans[-1].append(each)
        else:
            spans.append([each])
    return ", ".join(f"{span[0]}–{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    low, high = f"{ordered[0]:,.0f}", f"{ordered[-1]:,.0f}"
    return low if low == high else f"{low} – {high}"
