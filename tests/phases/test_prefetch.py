"""Questions asked one step ahead: what changes, what does not, how they end, and what a server sees of it."""

import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning import seed_everything

from ialp.cli.main import main
from ialp.nets import ActorCritic
from ialp.oracle import BudgetExceeded, JudgementCache, LexicalOracle
from ialp.phases import IALPPretrain, PrefetchPretrain
from ialp.rl import FromPolicy
from tests.helpers.asking import judge as server_judge
from tests.helpers.fake_server import Plan, serving
from tests.helpers.resuming import whole_and_broken
from tests.helpers.training import train

from .conftest import NET, questions


class Recording:
    """Keeps after how many updates candidates were proposed, and what was logged."""

    def __init__(self) -> None:
        super().__init__(net=NET)
        self.proposed, self.logged = [], []

    def propose(self):
        self.proposed.append(self.trainer.global_step)
        return super().propose()

    def on_train_batch_end(self, *arguments):
        super().on_train_batch_end(*arguments)
        self.logged.append({name: float(value) for name, value in self.trainer.callback_metrics.items()})


class InTurn(Recording, IALPPretrain):
    pass


class Ahead(Recording, PrefetchPretrain):
    pass


def run(source, folder: Path, judge=None, kind=Ahead, limits=None, **data) -> IALPPretrain:
    module = kind()
    train(module, questions(source, folder / "cache.sqlite", judge, horizon=4, **data), folder, **(limits or {}))
    return module


def weights(module: IALPPretrain) -> dict[str, torch.Tensor]:
    return ActorCritic.from_pretrained(Path(module.trainer.default_root_dir) / "policy").state_dict()


def judgements(module: IALPPretrain) -> int:
    counted = module.results()["judgements"]
    return counted["asked"] + counted["cache_hits"]


class Unsteady(LexicalOracle):
    """Answers sooner or later."""

    fingerprint = "unsteady"

    def log_probabilities(self, questions):
        time.sleep(random.SystemRandom().random() / 50)
        return super().log_probabilities(questions)


def test_prefetch_does_not_depend_on_the_judges_pace(source, tmp_path):
    first, second = (run(source, tmp_path / name, Unsteady()) for name in "ab")
    assert all(torch.equal(weights(first)[name], value) for name, value in weights(second).items())
    assert first.logged == second.logged and len(first.logged) == 12
    assert [logged["pretrain/judgements"] for logged in first.logged] == [8.0 * step for step in range(1, 13)]


@pytest.mark.parametrize("kind, expected", [(InTurn, [0, 2, 4, 6, 8, 10]), (Ahead, [0, 0, 2, 4, 6, 8])])
def test_prefetch_proposes_by_weights_one_step_older(source, tmp_path, kind, expected):
    module = run(source, tmp_path, kind=kind, steps_per_epoch=3, updates_per_step=2)
    assert module.proposed == expected


class Waiting(LexicalOracle):
    """Answers all but the first questions once an update has begun since the last."""

    fingerprint = "waiting"
    updating = threading.Event()
    asked = overlapped = 0

    def log_probabilities(self, questions):
        if self.asked:
            self.overlapped += self.updating.wait(20)  # without an overlap it never comes
        self.updating.clear()
        self.asked += 1
        return super().log_probabilities(questions)


class Signalling(Ahead):
    def training_step(self, batch, batch_idx):
        Waiting.updating.set()
        return super().training_step(batch, batch_idx)


def test_prefetch_asks_the_judge_while_the_updates_run(source, tmp_path):
    judge = Waiting()
    run(source, tmp_path, judge, kind=Signalling, limits={"max_epochs": 1})
    assert judge.overlapped == 5


@pytest.mark.parametrize(
    "limits, steps",
    [
        ({}, 6),
        ({"max_steps": 5, "max_epochs": -1}, 3),
        ({"max_steps": 8}, 4),
        ({"limit_train_batches": 3}, 4),
        ({"max_epochs": 1}, 3),
    ],
    ids=str,
)
def test_prefetch_asks_nothing_that_nobody_uses(source, tmp_path, limits, steps):
    """Epochs of three steps with two updates each."""
    sizes = {"updates_per_step": 2, "steps_per_epoch": 3}
    kinds = {"turn": InTurn, "ahead": Ahead}
    runs = [run(source, tmp_path / name, kind=kind, limits=limits, **sizes) for name, kind in kinds.items()]
    assert [judgements(module) for module in runs] == [8 * steps, 8 * steps]


class Stopping(Ahead):
    """Training stops while a question is under way."""

    def training_step(self, batch, batch_idx):
        self.trainer.should_stop = self.trainer.global_step >= 2
        return super().training_step(batch, batch_idx)


def test_prefetch_counts_the_question_that_early_stopping_leaves_without_use(source, tmp_path):
    module = run(source, tmp_path, kind=Stopping, limits={"max_epochs": 9})
    assert judgements(module) == 8 * (module.trainer.global_step + 1)
    assert not module.ahead.asking and module.pending is not None


def test_prefetch_spent_budget_ends_the_run_and_keeps_what_was_asked(source, tmp_path):
    with pytest.raises(BudgetExceeded, match="budget of 30 questions is spent"):
        run(source, tmp_path, budget=30)
    assert len(JudgementCache(tmp_path / "cache.sqlite")) == 30


def test_prefetch_ctrl_c_ends_a_question_that_is_under_way(source, tmp_path):
    class Endless(LexicalOracle):
        fingerprint = "endless"
        asked = 0

        def log_probabilities(self, questions):
            self.asked += 1
            if self.asked == 3:
                os.kill(os.getpid(), signal.SIGINT)
                while not self.interrupted:
                    time.sleep(0.01)
                raise KeyboardInterrupt
            return super().log_probabilities(questions)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    try:
        with pytest.raises(SystemExit):
            run(source, tmp_path, Endless())
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores it from the first Ctrl-C on
    assert time.monotonic() - started < 8
    assert not [thread for thread in threading.enumerate() if thread.name == "judge"]


class Collecting:
    """A trainer as a phase sees it that collects, and never updates."""

    def __init__(self, module, data) -> None:
        self.lightning_module, self.datamodule = module, data
        self.global_rank, self.world_size, self.global_step = 0, 1, 0
        self.max_steps, self.max_epochs, self.num_training_batches = -1, -1, 100
        self.accumulate_grad_batches = 1
        progress = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=0)))
        self.fit_loop = SimpleNamespace(epoch_loop=progress)
        module.trainer = data.trainer = self


def experience(source, cache: Path, kind):
    """The data set of a run, just begun."""
    seed_everything(0, verbose=False)
    module = kind(net=NET)
    data = questions(source, cache, horizon=3, users=4, steps_per_epoch=10, batch_size=4, sampler=FromPolicy(count=5))
    trainer = Collecting(module, data)
    data.setup("fit")
    module.setup("fit")
    made = iter(data.train_dataloader().dataset)
    made.trainer = trainer  # the module and the data refer to it weakly
    return made


@pytest.mark.parametrize("kind", [IALPPretrain, PrefetchPretrain])
@pytest.mark.parametrize("at", [0, 2, 3, 4])
def test_pretrain_collecting_goes_on_from_its_state(source, tmp_path, kind, at):
    """Also where a question is under way, and where an episode has just begun for it."""
    whole, again = (experience(source, tmp_path / "cache.sqlite", kind) for _ in range(2))
    for _ in range(at):
        next(whole)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    asked = whole.collector.oracle_state["asked"]
    for _ in range(7 - at):
        next(whole)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(7 - at):
        next(again)
    for each in (whole, again):
        if kind is PrefetchPretrain:
            each.collector.ahead.close()
            assert each.collector.pending is not None
    data, restored = whole.collector.data, again.collector.data
    assert restored.oracle.asked == asked  # what came then was asked already
    for name, value in restored.buffer.columns.items():
        assert torch.equal(value, data.buffer.columns[name])
    assert torch.equal(restored.histories.items, data.histories.items)
    assert restored.histories.episode == data.histories.episode == 3
    assert torch.equal(restored.sampler.generator.get_state(), data.sampler.generator.get_state())


@pytest.mark.parametrize("at", [5, 8])
def test_prefetch_resumes_to_the_same_weights(at, source, tmp_path):
    def make(folder):
        sizes = {"users": 6, "steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "horizon": 3}
        return PrefetchPretrain(net=NET), questions(source, folder / "judgements.sqlite", **sizes)

    modules = whole_and_broken(make, tmp_path, at, epochs=2)
    assert {judgements(module) for module in modules} == {48}


def test_prefetch_asks_a_server_each_question_once(source, tmp_path):
    with serving() as server:
        module = run(source, tmp_path, server_judge(server))
        counted = module.results()["judgements"]
        assert judgements(module) == 8 * 6 * 2
        kept = len(JudgementCache(tmp_path / "cache.sqlite"))
        assert counted["asked"] == counted["requests"] == len(server.answered) == kept
        assert counted["invalid_answers"] == 0 and counted["missing_labels"] == 0 and counted["tokens"] > 0
        assert "pretrain/invalid_answers" in module.trainer.callback_metrics
        assert (tmp_path / "policy").is_dir()


CONFIG = """\
seed_everything: 0
log: {{class_path: ialp.data.BuiltinLog, init_args: {{num_tracks: 60, num_sessions: 80}}}}
judge:
  class_path: ialp.oracle.ServerLM
  init_args: {{model: m, base_url: "{url}", limits: {{retries: 1}}}}
model: {{class_path: ialp.phases.PrefetchPretrain, init_args: {{net: {{dim: 16}}}}}}
data:
  class_path: ialp.datamodules.OracleDataModule
  init_args:
    {{log: "${{log}}", oracle: {{judge: "${{judge}}", cache: cache.sqlite}}, users: 8, steps_per_epoch: 6,
     batch_size: 8}}
trainer: {{max_epochs: 2, enable_progress_bar: false}}
"""


def test_prefetch_server_that_goes_away_ends_the_run_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seen: set[str] = set()

    def fault(prompt: str, before: int) -> str | None:
        seen.add(prompt)
        return None if len(seen) <= 20 else "500"

    with serving(Plan(fault=fault)) as server:
        Path("mine.yaml").write_text(CONFIG.format(url=server.url))
        code = main(["fit", "--config", "mine.yaml"])
        answered = server.answered.total()
    printed = capsys.readouterr().err
    assert code == 2 and printed.count("\n") == 1, printed
    assert "Error code: 500 - out of order; run again to go on" in printed
    assert len(JudgementCache("cache.sqlite")) == answered >= 20
    with serving() as server:
        Path("mine.yaml").write_text(CONFIG.format(url=server.url))
        assert main(["fit", "--config", "mine.yaml"]) == 0
    [done] = Path("runs/mine").glob("*/done.json")
    counted = json.loads(done.read_text())["results"]["judgements"]
    assert counted["asked"] + counted["cache_hits"] == 96 and counted["cache_hits"] >= answered
