"""`ialp export`: what comes out gives the run's own probabilities, read without any of our code."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ialp.cli.main import main
from ialp.errors import UserError
from ialp.rl.schemes import Scheme, load_policy
from ialp.serving import export as exporting
from ialp.serving.export import SUFFIXES, export, largest_difference
from ialp.serving.opening import open_finished
from ialp.types import History
from tests.serving.conftest import MAX_LENGTH, histories

KINDS = ["plain", "q", "mixture", "repeats", "users"]


def read_back(path: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """The exported policy, as an engineer without ialp reads it."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda items, length: torch.from_numpy(
        session.run(["probabilities"], {"items": items.numpy(), "length": length.numpy()})[0]
    )


def needs_runtime(format: str) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript", reason="onnx is not installed: pip install 'ialp[onnx]'")
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'ialp[onnx]'")


CASES = [(kind, "torch_export") for kind in KINDS] + [
    pytest.param(kind, "onnx", marks=[] if kind == "mixture" else pytest.mark.slow) for kind in KINDS
]


@pytest.mark.parametrize(("kind", "format"), CASES)
def test_export_read_back_gives_the_runs_probabilities(kind, format, run_of, tmp_path):
    needs_runtime(format)
    path = export(open_finished(run_of(kind)), format, str(tmp_path / f"policy{SUFFIXES[format]}"))
    policy, play, log = load_policy(run_of(kind)).eval(), read_back(path), open_finished(run_of(kind)).log
    for batch in (1, 3, 64):
        for time in (1, 2, 5, MAX_LENGTH):
            items, length = histories(log, batch, time)
            theirs, ours = policy.probabilities(History(items, length)), play(items, length)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
            assert not ours[~policy.mask(History(items, length))].any()
            torch.testing.assert_close(ours.sum(1), torch.ones(batch), rtol=0, atol=1e-5)


def played(policy: Scheme) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda items, length: policy.probabilities(History(items, length))


def test_largest_difference_tells_policies_apart(run_of):
    """The comparison that an export must pass: passed by the same policy, by no other, nor under another mask."""
    finished = open_finished(run_of("plain"))
    assert largest_difference(finished, played(finished.policy)) == 0
    assert largest_difference(finished, played(load_policy(run_of("q")))) > 1e-3
    assert largest_difference(finished, played(load_policy(run_of("repeats")))) == float("inf")
    assert largest_difference(finished, lambda items, length: torch.zeros(len(items), 60)) == float("inf")


def test_export_what_differs_is_not_written(run_of, tmp_path, monkeypatch):
    finished = open_finished(run_of("plain"))

    def off(module):
        return b"", lambda items, length: played(finished.policy)(items, length) * (1 + 1e-3)

    monkeypatch.setattr(exporting, "as_torch_export", off)
    with pytest.raises(UserError, match="differ by up to"):
        export(open_finished(run_of("plain")), out=str(tmp_path / "policy.pt2"))
    assert not list(tmp_path.iterdir())


def test_export_writes_its_description_beside_the_file(run_of, tmp_path, capsys):
    path = tmp_path / "deep" / "coats.pt2"
    assert main(["export", "--ckpt", str(run_of("users")), "--out", str(path)]) == 0
    assert sorted(file.name for file in path.parent.iterdir()) == ["coats.pt2", "coats.pt2.json"]
    card = json.loads((path.parent / "coats.pt2.json").read_text())
    log = open_finished(run_of("users")).log
    assert (card["items"], card["users"], card["catalogue"]) == (30, 40, log.catalogue.fingerprint)
    assert card["max_length"] == MAX_LENGTH and not card["repeats"]
    assert card["largest_difference"] <= 1e-5
    assert f"{card['largest_difference']:.1e} at most" in capsys.readouterr().out
    assert card["ids"] == log.names and card["texts"] == log.catalogue.texts


def test_export_what_does_not_act_is_left_out(run_of):
    """Of three policies two have a share, and each acts by one of its heads."""
    names = exporting.ServedPolicy(load_policy(run_of("mixture"))).state_dict()
    heads = {name for name in names if name.endswith("head.weight")}
    assert heads == {"parts.0.head.weight", "parts.1.head.weight"} and not any("critic" in name for name in names)


class TestBadInput:
    def test_open_finished_refuses_an_unfinished_run(self, tmp_path):
        (tmp_path / "config.yaml").write_text("data: {}")
        with pytest.raises(UserError, match=r"not finished \(it has no done\.json\); `ialp fit --config"):
            open_finished(tmp_path)

    def test_open_finished_refuses_a_folder_without_run(self, tmp_path, run_of):
        for folder in (tmp_path / "absent", tmp_path, run_of("plain") / "policy"):
            with pytest.raises(UserError, match="no run folder"):
                open_finished(folder)

    def test_export_refuses_another_suffix(self, run_of, tmp_path):
        with pytest.raises(UserError, match=r"ends in \.pt2"):
            export(open_finished(run_of("plain")), out=str(tmp_path / "policy.onnx"))

    def test_export_refuses_an_unknown_format(self, run_of, capsys):
        assert main(["export", "--ckpt", str(run_of("plain")), "--format", "pickle"]) == 2
        assert "invalid choice: 'pickle'" in capsys.readouterr().err

    def test_export_names_a_missing_package(self, run_of, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        with pytest.raises(UserError, match=r'needs onnxscript: pip install "ialp\[onnx\]"'):
            export(open_finished(run_of("plain")), "onnx")

    def test_open_finished_refuses_data_of_another_catalogue(self, run_of, tmp_path):
        with pytest.raises(UserError, match="does not come from a folder"):
            open_finished(run_of("plain"), data_root=str(tmp_path))
        copy_of = tmp_path / "runs" / "tiny" / "0-ffffffff"
        shutil.copytree(run_of("plain"), copy_of)
        config = (copy_of / "config.yaml").read_text()
        (copy_of / "config.yaml").write_text(config.replace("num_tracks: 60", "num_tracks: 70"))
        with pytest.raises(UserError, match="another catalogue"):
            open_finished(copy_of)
