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
from lightning import Trainer, seed_everything

from ialp.cli.main import main
from ialp.datamodules import OracleDataModule
from ialp.datamodules.oracle import OracleRollout
from ialp.nets import ActorCritic
from ialp.oracle import BudgetExceeded, JudgementCache, LexicalOracle, Oracle, PromptTemplate
from ialp.phases import IALPPretrain
from ialp.rl import FromPolicy, ReplayBuffer
from tests.helpers.asking import judge as server_judge
from tests.helpers.fake_server import Plan, serving

from .conftest import NET

SIZES = {"users": 8, "steps_per_epoch": 6, "batch_size": 16, "horizon": 4}


class Pretrain(IALPPretrain):
    """Keeps after how many updates candidates were proposed, and what was logged."""

    def setup(self, stage):
        super().setup(stage)
        self.proposed, self.told, self.updating = [], [], threading.Event()

    def propose(self, items, length):
        self.proposed.append(self.trainer.global_step)
        return super().propose(items, length)

    def training_step(self, batch, batch_idx):
        self.updating.set()
        return super().training_step(batch, batch_idx)

    def on_train_batch_end(self, *arguments):
        super().on_train_batch_end(*arguments)
        self.told.append({name: float(value) for name, value in self.trainer.callback_metrics.items()})


def run(source, folder: Path, judge=None, trainer=None, **data) -> Pretrain:
    seed_everything(0, verbose=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    quiet |= {"max_epochs": 2, "enable_checkpointing": False, "num_sanity_val_steps": 0} | (trainer or {})
    module = Pretrain(**NET)
    data = SIZES | {"cache": str(folder / "cache.sqlite")} | data
    Trainer(default_root_dir=folder, **quiet).fit(module, OracleDataModule(source, judge or LexicalOracle(), **data))
    return module


def weights(module: Pretrain) -> dict[str, torch.Tensor]:
    return ActorCritic.from_pretrained(Path(module.trainer.default_root_dir) / "policy").state_dict()


class Unsteady(LexicalOracle):
    """Answers sooner or later."""

    fingerprint = "unsteady"

    def log_probabilities(self, questions):
        time.sleep(random.SystemRandom().random() / 50)
        return super().log_probabilities(questions)


def test_a_run_that_asks_ahead_does_not_depend_on_the_judges_pace(source, tmp_path):
    first, second = (run(source, tmp_path / name, Unsteady(), prefetch=True) for name in "ab")
    assert all(torch.equal(weights(first)[name], value) for name, value in weights(second).items())
    assert first.told == second.told and len(first.told) == 12
    assert [told["pretrain/judgements"] for told in first.told] == [8.0 * step for step in range(1, 13)]


@pytest.mark.parametrize("prefetch, expected", [(False, [0, 2, 4, 6, 8, 10]), (True, [0, 0, 2, 4, 6, 8])])
def test_candidates_come_from_weights_one_step_older(source, tmp_path, prefetch, expected):
    sizes = {"steps_per_epoch": 3, "updates_per_step": 2}
    module = run(source, tmp_path, prefetch=prefetch, **sizes)
    assert module.proposed == expected


def test_the_judge_is_asked_while_the_updates_run(source, tmp_path):
    class Waiting(LexicalOracle):
        fingerprint = "waiting"
        overlapped = 0

        def log_probabilities(self, questions):
            if asked:
                self.overlapped += trained.wait(20)  # without an overlap it never comes
            trained.clear()
            asked.append(len(questions))
            return super().log_probabilities(questions)

    class Signalling(Pretrain):
        def training_step(self, batch, batch_idx):
            trained.set()
            return super().training_step(batch, batch_idx)

    trained, asked, judge = threading.Event(), [], Waiting()
    module = Signalling(**NET)
    data = OracleDataModule(source, judge, **SIZES | {"cache": str(tmp_path / "c.sqlite"), "prefetch": True})
    Trainer(
        default_root_dir=tmp_path, max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    ).fit(module, data)  # fmt: skip
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
def test_nothing_is_asked_that_nobody_uses(source, tmp_path, limits, steps):
    """Epochs of three steps with two updates each."""
    totals = []
    for prefetch in (False, True):
        module = run(source, tmp_path / str(prefetch), trainer=limits, updates_per_step=2, steps_per_epoch=3,
                     prefetch=prefetch)  # fmt: skip
        told = module.results()["judgements"]
        totals.append(told["asked"] + told["cache_hits"])
    assert totals == [8 * steps, 8 * steps]


def test_early_stopping_leaves_one_question_without_use_and_counts_it(source, tmp_path):
    class Stop(Unsteady):
        def log_probabilities(self, questions):
            if (trainer := data_trainer[0]).global_step >= 2:
                trainer.should_stop = True
            return super().log_probabilities(questions)

    class Known(Pretrain):
        def setup(self, stage):
            super().setup(stage)
            data_trainer.append(self.trainer)

    data_trainer: list[Trainer] = []
    module = Known(**NET)
    data = OracleDataModule(source, Stop(), **SIZES | {"cache": str(tmp_path / "c.sqlite"), "prefetch": True})
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=9, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(module, data)
    told = module.results()["judgements"]
    assert told["asked"] + told["cache_hits"] == 8 * (trainer.global_step + 1)
    assert not data.rollout.ahead.asking and data.rollout.pending is not None


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_spent_budget_ends_the_run_and_keeps_what_was_asked(source, tmp_path, prefetch):
    with pytest.raises(BudgetExceeded, match="budget of 30 questions is spent"):
        run(source, tmp_path, prefetch=prefetch, budget=30)
    assert len(JudgementCache(tmp_path / "cache.sqlite")) == 30


def test_ctrl_c_ends_a_question_that_is_under_way(source, tmp_path):
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
            run(source, tmp_path, Endless(), prefetch=True)
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores it from the first Ctrl-C on
    assert time.monotonic() - started < 8
    assert not [thread for thread in threading.enumerate() if thread.name == "judge"]


def test_processes_share_budget_and_cache(source, tmp_path):
    asked = []
    for rank in range(3):
        data = OracleDataModule(source, LexicalOracle(), cache=str(tmp_path / "cache.sqlite"), budget=10)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=3)
        data.setup("fit")
        generator = torch.Generator().manual_seed(rank)
        candidates = torch.stack([torch.randperm(50, generator=generator)[:10] + 1 for _ in range(20)])
        with pytest.raises(BudgetExceeded, match="this one of 3 processes"):
            data.oracle.judge(candidates[:, :1], torch.ones(20, dtype=torch.int64), candidates[:, 1:])
        asked.append(data.oracle.asked)
    assert asked == [3, 3, 4] and len(JudgementCache(tmp_path / "cache.sqlite")) == 10


class Steady:
    """A phase that proposes evenly and never ends."""

    def __init__(self, num_items: int):
        progress = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=0)))
        self.trainer = SimpleNamespace(
            global_step=0, accumulate_grad_batches=1, max_steps=-1, max_epochs=-1, num_training_batches=100,
            current_epoch=0, fit_loop=SimpleNamespace(epoch_loop=progress),
        )  # fmt: skip
        self.num_items = num_items
        self.latest, self.counts = {}, {}

    def propose(self, items, length):
        even = torch.zeros(len(items), self.num_items + 1)
        even[:, 0] = -torch.inf
        return even.log_softmax(1)

    def record(self, judgement, action):
        pass


def rollout(log, cache: Path, prefetch: bool) -> OracleRollout:
    template = PromptTemplate(log.words.scenario, log.words.item, log.words.behavior, log.attribute_names)
    oracle = Oracle(LexicalOracle(), JudgementCache(cache), template, log.catalogue)
    first, users = log.train.first_items(), torch.arange(4)
    where = Steady(log.catalogue.num_items), oracle, FromPolicy(), first, ReplayBuffer(100)
    return OracleRollout(*where, users, 5, 3, 10, 8, 1, 0, prefetch)


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("at", [0, 2, 3, 4])
def test_a_rollout_goes_on_from_its_state(source, tmp_path, prefetch, at):
    """Also where a question is under way, and where an episode has just been begun for it."""
    log = source.load()
    whole = rollout(log, tmp_path / "cache.sqlite", prefetch)
    for _ in range(at):
        whole.step()
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    before = whole.asked["asked"]
    for _ in range(7 - at):
        whole.step()
    whole.close()
    again = rollout(log, tmp_path / "cache.sqlite", prefetch)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(7 - at):
        again.step()
    again.close()
    assert again.oracle.asked == before  # what came then was asked already
    for name, value in again.buffer.columns.items():
        assert torch.equal(value, whole.buffer.columns[name])
    assert torch.equal(again.items, whole.items) and again.episode == whole.episode
    assert torch.equal(again.generator.get_state(), whole.generator.get_state())
    assert (again.pending is None) == (not prefetch)


def test_pre_training_against_a_server_asks_ahead(source, tmp_path):
    with serving() as server:
        module = run(source, tmp_path, server_judge(server), prefetch=True)
        told = module.results()["judgements"]
        assert told["asked"] + told["cache_hits"] == 8 * 6 * 2
        assert (
            told["asked"] == told["requests"] == len(server.answered) == len(JudgementCache(tmp_path / "cache.sqlite"))
        )
        assert told["invalid_answers"] == 0 and told["missing_labels"] == 0 and told["tokens"] > 0
        assert "pretrain/invalid_answers" in module.trainer.callback_metrics
        assert (tmp_path / "policy").is_dir()


CONFIG = """\
seed_everything: 0
log: {{class_path: ialp.data.BuiltinLog, init_args: {{num_tracks: 60, num_sessions: 80}}}}
judge:
  class_path: ialp.oracle.ServerLM
  init_args: {{model: m, base_url: "{url}", limits: {{retries: 1}}}}
model: {{class_path: ialp.phases.IALPPretrain, init_args: {{dim: 16, layers: 1}}}}
data:
  class_path: ialp.datamodules.OracleDataModule
  init_args: {{log: "${{log}}", judge: "${{judge}}", users: 8, steps_per_epoch: 6, batch_size: 8, prefetch: true,
    cache: cache.sqlite}}
trainer: {{max_epochs: 2, enable_progress_bar: false}}
"""


def test_a_server_that_goes_away_ends_the_run_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seen: set[str] = set()

    def fault(prompt: str, before: int) -> str | None:
        seen.add(prompt)
        return None if len(seen) <= 20 else "500"

    with serving(Plan(fault=fault)) as server:
        Path("mine.yaml").write_text(CONFIG.format(url=server.url))
        code = main(["fit", "--config", "mine.yaml"])
        answered = server.answered.total()
    said = capsys.readouterr().err
    assert code == 2 and said.count("\n") == 1 and "Error code: 500 - out of order; run again to go on" in said
    assert len(JudgementCache("cache.sqlite")) == answered >= 20
    with serving() as server:
        Path("mine.yaml").write_text(CONFIG.format(url=server.url))
        assert main(["fit", "--config", "mine.yaml"]) == 0
    [done] = Path("runs/mine").glob("*/done.json")
    judgements = json.loads(done.read_text())["results"]["judgements"]
    assert judgements["asked"] + judgements["cache_hits"] == 96 and judgements["cache_hits"] >= answered
