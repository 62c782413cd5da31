"""Every config in the repository: found, planned, and each stage run for a step, on a log of one's own."""

import inspect
import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ialp.cli.main import main
from ialp.data.builtin import generate_sessions, generate_tracks
from ialp.distributed import share_of_rank
from ialp.experiment.class_names import find_class
from ialp.experiment.planning import Planner
from ialp.experiment.stages import Stage
from tests.helpers.coat_files import write_coat

CONFIGS = Path(__file__).parents[1] / "configs"
STAGES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
OVERLAYS = sorted(path for room in ("loggers", "oracles", "large") for path in CONFIGS.glob(f"{room}/*"))
SWEEPS = sorted((CONFIGS / "sweeps").glob("*.yaml"))
DATASETS = ("lfm", "industry", "coat")
BASELINES = ("scratch_a2c", "dqn", "reinforce")
EPISODES = ("policyset_episodes", "finetune_episodes")
KINDS = ("reward", "oracle", "pretrain", "policyset", "finetune", *EPISODES, "frozen", "llm_online", *BASELINES)

TINY = {
    "reward": ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2"],
    "oracle": ["--trainer.max_epochs=1", "--data.init_args.interactions=8", "--data.init_args.held_out=8"],
    "pretrain": ["--trainer.max_epochs=1", "--data.init_args.users=4", "--data.init_args.steps_per_epoch=2"],
}
TINY_ONLINE = ["--data.init_args.users=4", "--data.init_args.steps_per_epoch=2", "--data.init_args.test_users=8"]
TINY_ONLINE += ["--trainer.max_epochs=1"]
TINY_EPISODES = ["--data.init_args.users=4", "--data.init_args.rollouts_per_epoch=1", "--data.init_args.minibatches=2"]
TINY_EPISODES += ["--data.init_args.test_users=8", "--trainer.max_epochs=1"]
TINY |= dict.fromkeys(("scratch_a2c_episodes", "reinforce", *EPISODES), TINY_EPISODES)

Plan = Callable[..., Stage]


@pytest.fixture(scope="module")
def planner() -> Planner:
    """Parses many configs."""
    return Planner.make()


@pytest.fixture
def plan(planner: Planner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    """The run that `ialp fit` would start, in a folder where nothing is finished yet."""
    monkeypatch.delenv("IALP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: planner.plan(arguments, None)


@pytest.fixture(scope="module")
def own_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of one's own: two files."""
    root = tmp_path_factory.mktemp("data")
    tracks = generate_tracks(80, seed=1)
    items = [f"{track['item_id']}\t{track['title']}\t{track['album']}\t{track['artist']}" for track in tracks]
    header = "item_id:token\ttitle:token_seq\talbum:token_seq\tartist:token_seq"
    (root / "mine.item").write_text("\n".join([header, *items]) + "\n")
    lines = [
        f"u{user}\t{tracks[item]['item_id']}\t{time}"
        for user, session in enumerate(generate_sessions(tracks, 60, seed=1))
        for time, item in enumerate(session)
    ]
    (root / "mine.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *lines]) + "\n")
    return root


def atomic(root: Path) -> dict[str, Any]:
    """How a config names that log."""
    columns = ["title", "album", "artist"]
    return {
        "class_path": "ialp.data.readers.AtomicLog",
        "init_args": {"name": "mine", "root": str(root), "attributes": columns},
    }


@pytest.fixture(scope="module")
def coat_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Coat: 60 users, 60 coats."""
    return write_coat(tmp_path_factory.mktemp("data"), users=60, items=60)


@pytest.fixture(scope="module")
def finish(own_log: Path, coat_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Runs a config for a step or two, after what it builds on, and returns the run's folder."""
    finished: dict[str, Path] = {}
    logs = {"coat": f"--data_root={coat_root}"}
    runs = tmp_path_factory.mktemp("runs")

    def run(name: str) -> Path:
        if name not in finished:
            dataset, _, kind = name.partition("_")
            inputs = {
                "pretrain": {"oracle": "oracle"},
                "llm_online": {"reward_model": "reward", "oracle": "oracle"},
                "reward": {},
                "oracle": {},
            }.get(kind, {"reward_model": "reward", "pretrained": "pretrain"})
            if kind.removesuffix("_episodes") in BASELINES:
                inputs = {"reward_model": "reward"}
            arguments = [f"--upstream.{key}={run(f'{dataset}_{value}')}" for key, value in inputs.items()]
            arguments += [
                logs.get(dataset, f"--log={json.dumps(atomic(own_log))}"),
                "--judge=LexicalOracle",
                f"--runs_dir={runs}",
            ]
            arguments += TINY.get(kind, TINY_ONLINE)
            assert main(["fit", "--config", str(CONFIGS / f"{name}.yaml"), *arguments]) == 0
            [finished[name]] = [path.parent for path in (runs / name).glob("*/done.json")]
        return finished[name]

    yield run


def test_configs_are_all_there_and_short() -> None:
    assert set(STAGES) >= {f"{dataset}_{kind}" for dataset in DATASETS for kind in KINDS}
    assert len(OVERLAYS) >= 5
    assert sum(len(path.read_text().splitlines()) for path in CONFIGS.rglob("*.yaml")) <= 450


@pytest.mark.parametrize("name", STAGES)
def test_config_can_be_planned(plan: Plan, name: str, coat_root: Path) -> None:
    is_coat = name.startswith("coat")
    stage = plan("--config", str(CONFIGS / f"{name}.yaml"), *([f"--data_root={coat_root}"] if is_coat else []))
    assert stage.name == name
    assert stage.log is not None and stage.log.is_builtin != is_coat


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_changes_the_main_job(plan: Plan, path: Path) -> None:
    name = "lfm_policyset"
    main_job = ["--config", str(CONFIGS / f"{name}.yaml")]
    before, after = plan(*main_job), plan(*main_job, "--config", str(path))
    assert after.name == name
    assert [stage.config for stage in after.lineage()] != [stage.config for stage in before.lineage()]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_makes_each_command_a_run_of_its_own(
    plan: Plan, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command lines are made as the agent of Weights & Biases makes them, and planned by `ialp fit`."""
    sweeps = pytest.importorskip("wandb.sdk.launch.sweeps.utils", reason="the wandb extra is not installed")
    sweep = yaml.safe_load(path.read_text())
    assert sweep["metric"]["name"] == "val/return" and sweep["program"] == "ialp"
    monkeypatch.chdir(CONFIGS.parent)
    seen = set()
    for chosen in _one_at_a_time(sweep["parameters"]):
        values = sweeps.create_sweep_command_args({"args": {key: {"value": value} for key, value in chosen.items()}})
        command = [part for each in sweep["command"] for part in (values["args"] if each == "${args}" else [each])]
        assert command[:3] == ["${env}", "ialp", "fit"]
        stage = plan(*command[3:], f"--runs_dir={tmp_path}")
        assert stage.config["trainer"]["logger"]["class_path"].endswith("WandbLogger")
        seen.add(stage.fingerprint)
    assert len(seen) == len(list(_one_at_a_time(sweep["parameters"]))), "a value that changes nothing"


@pytest.mark.parametrize("name", ["seeds", "two_nodes"])
def test_batch_script_starts_what_can_be_planned(
    plan: Plan, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = (CONFIGS / "slurm" / f"{name}.sbatch").read_text()
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", script, re.MULTILINE))
    [line] = re.findall(r"^[^#\n]*ialp fit (.*?)(?: &)?$", script.replace("\\\n", " "), re.MULTILINE)
    monkeypatch.chdir(CONFIGS.parent)
    for number in ("0", "7"):
        arguments = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", number))
        stage = plan(*arguments, f"--runs_dir={tmp_path}")
        if name == "seeds":
            assert stage.seed == int(number) and asked["ntasks"] == "1" and stage.config["trainer"]["devices"] == 1
            assert [each.seed for each in stage.lineage()] == [0, 0, int(number), int(number)]
            continue
        trainer, data = stage.config["trainer"], stage.config["data"]["init_args"]
        assert (str(trainer["num_nodes"]), str(trainer["devices"])) == (asked["nodes"], asked["ntasks-per-node"])
        assert asked["gpus-per-node"] == asked["ntasks-per-node"]
        for key in ("users", "batch_size"):
            share_of_rank(SimpleNamespace(world_size=16, global_rank=0), data[key], key)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ends", "queued"), [("trap 'exit 143' TERM", True), ("trap '' TERM; sleep 1; exit 2", False)])
def test_batch_script_queues_a_task_again_when_its_time_is_up(tmp_path: Path, ends: str, queued: bool) -> None:
    (tmp_path / "ialp").write_text(f"#!/bin/bash\ntouch started\n{ends}\nfor i in {{1..100}}; do sleep 0.1; done\n")
    (tmp_path / "scontrol").write_text('#!/bin/bash\necho "$@" > queued\n')
    for name in ("ialp", "scontrol"):
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": "77_3", "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "1"}
    environment = os.environ | slurm | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = subprocess.Popen(["bash", CONFIGS / "slurm" / "seeds.sbatch"], cwd=tmp_path, env=environment)
    while not (tmp_path / "started").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    script.terminate()
    assert script.wait(20) == (143 if queued else 2)
    assert (tmp_path / "queued").exists() == queued


def _one_at_a_time(parameters: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first value of each parameter, and every other value of each with the first ones of the rest."""
    options = {key: each.get("values") or [each["min"], each["max"]] for key, each in parameters.items()}
    options["seed_everything"] = options.get("seed_everything", [0])[:2]  # the others are seeds as well
    first = {key: values[0] for key, values in options.items()}
    yield first
    yield from (first | {key: value} for key, values in options.items() for value in values[1:])


def test_base_log_and_method_compose_on_the_command_line_as_in_a_file(plan: Plan) -> None:
    parts = [f"--config={CONFIGS / part}.yaml" for part in ("logs/lfm", "base/online_episodes", "methods/policyset")]
    ours = plan("--config", str(CONFIGS / "lfm_policyset_episodes.yaml"), "--model.pretrained_temperature=1.0")
    assert plan(*parts).fingerprint == ours.fingerprint


@pytest.mark.parametrize("name", ["lfm_policyset", "lfm_policyset_episodes"])
def test_large_catalogue_overlay_goes_on_top_of_a_policy_set(plan: Plan, name: str) -> None:
    main_job = ["--config", str(CONFIGS / f"{name}.yaml")]
    before, after = plan(*main_job), plan(*main_job, "--config", str(CONFIGS / "large" / "policyset.yaml"))
    model, wrapped = (stage.config["model"]["init_args"] for stage in (before, after))
    assert wrapped["scheme"]["class_path"].endswith("BlockwisePolicySet")
    assert wrapped["scheme"]["init_args"]["learner_start"] == model["scheme"]["init_args"]["learner_start"]
    assert wrapped["pretrained"] == after.upstream["pretrained"].folder.as_posix()


def test_judge_overlay_reaches_tuning_and_pre_training(plan: Plan) -> None:
    overlay = CONFIGS / "oracles" / "mistral7b.yaml"
    stages = plan("--config", str(CONFIGS / "lfm_policyset.yaml"), "--config", str(overlay)).lineage()
    judges = {stage.name: stage.config["judge"]["init_args"]["model"] for stage in stages if stage.config["judge"]}
    assert "mistralai/Mistral-7B-v0.1" in judges["lfm_oracle"]
    assert judges["lfm_pretrain"] == judges["lfm_oracle"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_own_log_replaces_the_log_of_all_stages(plan: Plan, dataset: str, own_log: Path) -> None:
    overlays = [f"--config={CONFIGS / 'logs' / 'own.yaml'}", f"--log.root={own_log}"]
    stages = plan(f"--config={CONFIGS / dataset}_policyset.yaml", *overlays).lineage()
    assert [stage.name for stage in stages] == [
        f"{dataset}_{kind}" for kind in ("reward", "oracle", "pretrain", "policyset")
    ]
    alone = plan(f"--config={CONFIGS / 'base' / 'reward.yaml'}", *overlays)
    assert all(stage.config["log"] == alone.config["log"] for stage in stages)
    assert {stage.log.name for stage in stages if stage.log} == {"mine"}


def test_logger_overlay_keeps_the_fingerprint(plan: Plan) -> None:
    main_job = ["--config", str(CONFIGS / "lfm_policyset.yaml")]
    overlay = ["--config", str(CONFIGS / "loggers" / "wandb.yaml")]
    assert plan(*main_job).fingerprint == plan(*main_job, *overlay).fingerprint


@pytest.mark.parametrize("name", [*(f"lfm_{kind}" for kind in KINDS), "lfm_policyset_gated"])
def test_lfm_config_runs_on_an_own_log(finish: Callable[[str], Path], name: str) -> None:
    _finished(finish(name), name)


@pytest.mark.parametrize("name", ["coat_policyset", "coat_scratch_a2c", "coat_scratch_a2c_episodes", "coat_reinforce"])
def test_coat_config_runs_to_its_end(finish: Callable[[str], Path], name: str) -> None:
    _finished(finish(name), name)


def test_coat_config_without_data_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("IALP_DATA", raising=False)
    assert main(["fit", "--config", str(CONFIGS / "coat_policyset.yaml")]) == 2
    assert "set IALP_DATA or --data_root" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{dataset}_{kind}" for dataset in ("industry", "coat") for kind in KINDS])
def test_config_of_the_other_logs_runs(finish: Callable[[str], Path], name: str) -> None:
    _finished(finish(name), name)


def _finished(folder: Path, name: str) -> None:
    done = json.loads((folder / "done.json").read_text())
    assert done["stage"] == name and done["data"]["name"] in ("mine", "coat")
    if name.partition("_")[2].removesuffix("_episodes") in KINDS[3:]:
        assert (folder / "evaluation.csv").is_file() and (folder / "learning_curve.png").is_file()
        assert done["results"]["evaluation"]["adapted" if "frozen" not in name else "frozen"]["end"]["length"] >= 1


def test_print_config_names_the_source_of_each_value_and_is_a_config(
    plan: Plan, planner: Planner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, option = f"--config={CONFIGS / 'lfm_policyset.yaml'}", "--model.exploration=Greedy"
    assert main(["fit", config, option, "--print_config"]) == 0
    text = capsys.readouterr().out
    for line in (
        rf"max_epochs: 50  # {CONFIGS}/base/online.yaml:\d+",
        rf"learner_start: pretrained  # {CONFIGS}/methods/policyset.yaml:\d+",
        rf"pretrained_temperature: 0.25  # {CONFIGS}/lfm_policyset.yaml:3",
        r"class_path: ialp.rl.Greedy  # command line",
        r"lr_actor: null  # default of OnlineAdapt",
        rf"log: \${{log}}  # {CONFIGS}/base/online.yaml:\d+",
    ):
        assert re.search(f"^ *{line}$", text, re.MULTILINE), line
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "printed.yaml").write_text(text)
    assert plan("--config=elsewhere/printed.yaml").fingerprint == plan(config, option).fingerprint
    assert main(["fit", config, "--print_config=skip_default"]) == 0
    assert "# default" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "place", "expected"),
    [
        ("lfm_policyset", ["--model.algorithm=Reinforce"], "model.algorithm", {}),
        ("lfm_policyset", ["--model.scheme.alpha=ExponentialAlpha"], "model.scheme.alpha", {}),
        ("lfm_dqn", ["--model.algorithm=A2C", "--model.algorithm.trace=0.5"], "model.algorithm", {"trace": 0.5}),
        ("lfm_pretrain", ["--data.sampler=FromPolicy"], "data.sampler", {}),
        ("industry_oracle", ['--log={"class_path": "BuiltinLog", "init_args": {"seed": 3}}'], "log", {"seed": 3}),
        ("lfm_oracle", ["--judge=LexicalOracle"], "judge", {}),
        ("lfm_reward", ["--model.net=ialp.nets.DeepFM"], "model.net", {}),
    ],
)
def test_class_that_replaces_another_starts_from_its_own_defaults(
    plan: Plan, name: str, options: list[str], place: str, expected: dict[str, Any]
) -> None:
    found: Any = {"init_args": plan(f"--config={CONFIGS / name}.yaml", *options).config}
    for key in place.split("."):
        found = found["init_args"][key]
    signature = inspect.signature(find_class(found["class_path"])).parameters
    plain = {
        key: list(each.default) if isinstance(each.default, tuple) else each.default for key, each in signature.items()
    }
    changed = {key: value for key, value in (found.get("init_args") or {}).items() if value != plain[key]}
    changed.pop("split", None)  # a component of the log, here a dict
    assert changed == expected


OF_A_RUN = {"budget", "cache", "oracle", "pretrained"}
OF_A_LOG = {"pretrained_temperature", "updates_per_step"}  # tuned for LFM alone: docs/trials.md
BASELINES_OWN = {"DQN.tau", "ReplayDataModule.replay_capacity"}  # a baseline's, and the buffer that goes with it
SHORTER_SIGHT = {"A2C.gamma"}  # in pre-training alone: a judge's preference is about the next item


def test_class_defaults_are_the_tuned_values(plan: Plan) -> None:
    """So that `IALPPretrain()` in a notebook is what the configs train."""
    differing = set()
    for name in ("lfm_reward", "lfm_oracle", "lfm_pretrain", "lfm_policyset", "lfm_scratch_a2c", "lfm_dqn"):
        config = plan(f"--config={CONFIGS / name}.yaml").config
        for path, given in [*_classes(config["model"]), *_classes(config["data"])]:
            signature = inspect.signature(find_class(path)).parameters
            for key in given.keys() - OF_A_RUN - OF_A_LOG:
                default = signature[key].default
                if default is not inspect.Parameter.empty and not isinstance(given[key], dict):
                    differs = given[key] != (list(default) if isinstance(default, tuple) else default)
                    differing |= {f"{path.rpartition('.')[2]}.{key}"} if differs else set()
    assert differing == BASELINES_OWN | SHORTER_SIGHT


def _classes(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Class path and arguments of every class in a config."""
    if isinstance(value, dict):
        if "class_path" in value:
            yield value["class_path"], value.get("init_args") or {}
        for each in value.values():
            yield from _classes(each)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--data.oracle.bugdet=3", 'data.oracle has no "bugdet"; did you mean budget?'),
        ("--model.net.dims=3", 'model.net has no "dims"; did you mean dim?'),
        ("--data.oracle.judge.init_args.model=x", "init_args.model reaches into ${judge} ("),
    ],
)
def test_option_that_no_component_takes_is_refused_in_one_line(
    option: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(CONFIGS / "lfm_pretrain.yaml"), option]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
