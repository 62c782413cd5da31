"""LoadableModule: a LightningModule that `load_from_checkpoint` rebuilds without its data."""

import pickle
import warnings
import zipfile
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import torch
from lightning import LightningDataModule, LightningModule

from ialp.errors import UserError
from ialp.recorded import Recorded, description, rebuild
from ialp.runs.record import record_run

KEY = "module"  # of a checkpoint: constructor arguments and sizes, as JSON values


class LoadableModule(Recorded, LightningModule):
    """A module whose nets are built when the data is known, and which its checkpoints describe nevertheless.

    A checkpoint holds the constructor's arguments (see `ialp.recorded.description`) and `net_sizes()`. Both are JSON
    values, so that checkpoints are read with `weights_only=True`. A subclass that overrides `on_save_checkpoint` calls
    this class's, too.

    Attributes:
        data_class: the DataModule that the phase works on.
    """

    data_class: type = LightningDataModule

    @abstractmethod
    def net_sizes(self) -> dict[str, Any]:
        """What `build_nets` takes, as JSON values; called when the nets are there."""

    @abstractmethod
    def build_nets(self, sizes: dict[str, Any]) -> None:
        """Builds the nets, for `load_from_checkpoint`; their weights are loaded afterwards."""

    @property
    def data(self) -> Any:
        """The DataModule that the trainer was given."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def check_data(self, data: Any) -> None:
        """Whether this phase works on such a DataModule.

        Raises:
            UserError: It is another phase's.
        """
        if not isinstance(data, self.data_class):
            wanted = self.data_class.__name__
            raise UserError(
                f"model.class_path: {type(self).__name__} takes its data from {wanted}, not {type(data).__name__}: "
                f"set data.class_path to ialp.datamodules.{wanted}, or model.class_path to another phase"
            )

    def upstream(self) -> dict[str, str]:
        """Folders of the runs that this one is built on, by name."""
        return {}

    def results(self) -> dict[str, Any]:
        """Entries of done.json."""
        return {}

    def record_run(self) -> None:
        """Describes a finished run that was made without the command line, so that its commands can read it."""
        if self.trainer.is_global_zero and isinstance(self.data, Recorded):
            try:
                record_run(Path(self.trainer.default_root_dir), self, self.data, self.upstream(), self.results())
            except UserError as error:  # a class of a notebook: no reason to fail after the training
                warnings.warn(f"`ialp` commands cannot read this run: {error}", stacklevel=2)

    def restore_best(self) -> None:
        """Loads the weights of the best checkpoint, if a callback of the trainer kept one."""
        if path := getattr(self.trainer.checkpoint_callback, "best_model_path", ""):
            saved = self.trainer.strategy.checkpoint_io.load_checkpoint(path, map_location=self.device)
            self.load_state_dict(saved["state_dict"], strict=self.strict_loading)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the description of the module."""
        arguments, missing = {}, {}
        for name, value in self.init_args.items():
            try:
                arguments[name] = description(value)
            except UserError as error:  # defined in a notebook, say: to be given again when the checkpoint is read
                missing[name] = str(error)
        sizes = self.net_sizes()
        checkpoint[KEY] = {"class": _name(type(self)), "init_args": arguments, "missing": missing, "sizes": sizes}

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Any,
        map_location: Any = "cpu",
        **kwargs: Any,
    ) -> Self:
        """The module of a checkpoint, with its nets and weights; `kwargs` replace arguments of the constructor.

        Raises:
            UserError: No such file, no checkpoint of this class, or an argument that must be given.
        """
        checkpoint = _read(Path(checkpoint_path), map_location)
        described = checkpoint.get(KEY) or {}
        if described.get("class") != _name(cls):
            raise UserError(f"{checkpoint_path}: a checkpoint of {described.get('class')}, not of {_name(cls)}")
        for name, reason in described["missing"].items():
            if name not in kwargs:
                raise UserError(f"{checkpoint_path}: load_from_checkpoint needs {name}=…, for {reason}")
        given = {name: value for name, value in described["init_args"].items() if name not in kwargs}
        module = cls(**rebuild(given), **kwargs)  # type: ignore[arg-type]
        module.build_nets(described["sizes"])
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"], module.strict_loading)
        return module


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _read(path: Path, map_location: Any) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: no checkpoint that can be read ({str(error).splitlines()[0]})") from None
