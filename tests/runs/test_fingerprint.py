from typing import Any

import pytest

from ialp.runs.fingerprint import fingerprint

CONFIG: dict[str, Any] = {
    "model": {"class_path": "Toy", "init_args": {"base": "runs/world/0-aaaaaaaa", "width": 2}},
    "data": {"init_args": {"log": {"init_args": {"root": "/here", "name": "lfm"}}, "cache": "here.sqlite"}},
    "trainer": {"max_epochs": 3, "devices": 1, "logger": None, "callbacks": None},
    "runs_dir": "runs",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """CONFIG with the value at a dotted path replaced."""

    def put(node: dict[str, Any], keys: list[str]) -> dict[str, Any]:
        head, *rest = keys
        return node | {head: put(node[head], rest) if rest else value}

    return put(CONFIG, path.split("."))


def of(config: dict[str, Any], seed: int = 0, data: str = "d", world: str = "w") -> str:
    return fingerprint(config, seed, data, {"runs/world/0-aaaaaaaa": world})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trainer.devices", 8),
        ("trainer.logger", {"class_path": "WandbLogger"}),
        ("trainer.callbacks", [{"class_path": "lightning.pytorch.callbacks.RichProgressBar"}]),
        ("trainer.callbacks", [{"class_path": "lightning.pytorch.callbacks.RichModelSummary"}]),
        ("data.init_args.log.init_args.root", "/there"),
        ("data.init_args.cache", "there.sqlite"),
        ("runs_dir", "elsewhere"),
    ],
)
def test_fingerprint_ignores_places_and_display(path: str, value: Any) -> None:
    assert of(changed(path, value)) == of(CONFIG)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.init_args.width", 3),
        ("data.init_args.log.init_args.name", "industry"),
        ("trainer.max_epochs", 4),
        ("trainer.callbacks", [{"class_path": "lightning.pytorch.callbacks.EarlyStopping"}]),
    ],
)
def test_fingerprint_counts_what_changes_learning(path: str, value: Any) -> None:
    assert of(changed(path, value)) != of(CONFIG)


def test_fingerprint_counts_checkpoints_and_stopping() -> None:
    def with_callback(name: str, **arguments: Any) -> str:
        described = {"class_path": f"lightning.pytorch.callbacks.{name}", "init_args": arguments}
        return of(changed("trainer.callbacks", [described]))

    by_loss = with_callback("ModelCheckpoint", monitor="val_loss")
    assert len({of(CONFIG), by_loss, with_callback("ModelCheckpoint", monitor="val_auc")}) == 3
    assert with_callback("EarlyStopping", patience=2) != with_callback("EarlyStopping", patience=3)
    assert with_callback("Timer", duration="00:01:00:00") != of(CONFIG)
    assert with_callback("ModelCheckpoint", monitor="val_loss", dirpath="elsewhere") == by_loss


def test_fingerprint_counts_seed_data_and_inputs() -> None:
    assert len({of(CONFIG), of(CONFIG, seed=1), of(CONFIG, data="e"), of(CONFIG, world="v")}) == 4


def test_fingerprint_counts_an_input_by_its_own() -> None:
    elsewhere = changed("model.init_args.base", "elsewhere/world/0-aaaaaaaa")
    assert fingerprint(elsewhere, 0, "d", {"elsewhere/world/0-aaaaaaaa": "w"}) == of(CONFIG)
