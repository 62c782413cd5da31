"""Export and recommend on LFM and Coat themselves, with policies of the configs' shape: nothing there is tiny."""

import json
import os
from pathlib import Path

import pytest
import torch

from ialp.cli.main import main
from ialp.data import Log
from ialp.data.readers import AtomicLog, CoatLog
from ialp.nets import ActorCritic
from tests.serving.conftest import write_run

DATA = os.environ.get("IALP_DATA", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="IALP_DATA names no folder with lfm/ and coat/"),
]


@pytest.fixture(scope="module", params=["lfm", "coat"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Log]:
    """A mixture of two sharp policies of width 128, one of which acts by its Q."""
    name = request.param
    if not (Path(DATA) / name).is_dir():
        pytest.skip(f"no {name}/ in IALP_DATA")
    log = (AtomicLog("lfm", root=DATA) if name == "lfm" else CoatLog(DATA)).load()
    torch.manual_seed(0)
    policies = [
        ActorCritic(**log.sizes, dim=128, layers=1, heads=2, max_length=22, q_temperature=each) for each in (None, 0.1)
    ]
    for policy in policies:
        policy.encoder.set_user_features(log.user_features)
        torch.nn.init.normal_(policy.actor.weight, std=0.3)
        torch.nn.init.normal_(policy.critic.weight, std=0.03)
    source = {"class_path": "ialp.data.readers.CoatLog", "init_args": {"root": DATA}}
    if name == "lfm":
        source = {"class_path": "ialp.data.readers.AtomicLog", "init_args": {"name": "lfm", "root": DATA}}
    folder = tmp_path_factory.mktemp("real") / name / "0-ffffffff"
    return write_run(folder, source, log, {"frozen": (0.4, policies[0]), "policy": (0.6, policies[1])}), log


@pytest.mark.parametrize("format", ["torch_export", "onnx"])
def test_export_of_real_data_gives_the_runs_probabilities(run, format, tmp_path, capsys) -> None:
    """The command itself compares, and refuses above 1e-5."""
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'ialp[onnx]'")
        pytest.importorskip("onnxscript", reason="onnx is not installed: pip install 'ialp[onnx]'")
    folder, log = run
    out = tmp_path / f"policy{'.pt2' if format == 'torch_export' else '.onnx'}"
    assert main(["export", "--ckpt", str(folder), "--format", format, "--out", str(out)]) == 0
    card = json.loads((tmp_path / f"{out.name}.json").read_text())
    assert card["items"] == log.catalogue.num_items and card["largest_difference"] <= 1e-5


def test_recommend_on_real_data_shows_texts(run, capsys) -> None:
    folder, log = run
    user = ["--user", "7"] if len(log.user_features) else []
    shown = log.catalogue.ids[:3]
    arguments = ["--ckpt", str(folder), "--history", ",".join(shown), *user, "--top", "10", "--format", "json"]
    assert main(["recommend", *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)
    texts = dict(zip(log.catalogue.ids, log.catalogue.texts[1:], strict=True))
    assert len(rows) == 10 and all(row["text"] == texts[row["id"]] for row in rows)
    assert not set(shown) & {row["id"] for row in rows}
