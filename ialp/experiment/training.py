"""The verbs that work through Lightning's Trainer: fit, validate, test, predict."""

import os
import shutil
import time
import warnings
from argparse import ArgumentError
from contextlib import suppress
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf.errors import OmegaConfBaseException

from ialp.data import LogSource
from ialp.errors import UserError, user_error_beneath
from ialp.experiment import wandb_runs
from ialp.experiment.building import CHILD, announce, build_missing, rank
from ialp.experiment.checkpoint_file import newest, remove_partial
from ialp.experiment.complaints import complaint
from ialp.experiment.config_check import class_paths, find_class
from ialp.experiment.done import write_done
from ialp.experiment.messages import data_line, held_back, quiet
from ialp.experiment.processes import launched
from ialp.experiment.same_run import check_processes, check_shares
from ialp.experiment.signals import Terminated, sigterm_as_exit
from ialp.experiment.stages import Stage, plan
from ialp.experiment.trainer_parts import trainer_parts
from ialp.files import write_atomically
from ialp.oracle.backends.base import JudgeBackend
from ialp.runs.folder import CRASH
from ialp.runs.lock import being_made, busy, locked, set_aside


def run_trainer_verb(verb: str, arguments: list[str]) -> int:
    """Run `ialp fit|validate|test|predict`.

    Raises:
        UserError: What the user can mend.
    """
    command_line(IALPCLI, verb, arguments)
    return 0


def command_line(kind: "type[IALPCLI]", verb: str, arguments: list[str]) -> "IALPCLI":
    """Our CLI, or a subclass, with these arguments; what it is made for is done when this returns."""
    quiet()
    class_paths()  # imports every class, so that its short name is known
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    try:
        return kind(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,  # each module owns its optimiser
            save_config_callback=None,  # saved with the rest of the run's folder
            trainer_defaults={"enable_model_summary": False, "devices": 1},  # more processes where they are asked for
            args=[verb, *arguments],
        )
    except MisconfigurationException as error:  # how Lightning says what a module or config lacks
        raise UserError(str(error).splitlines()[0]) from error


class IALPCLI(LightningCLI):
    """Lightning's CLI, around a run folder and the stages that a run builds on."""

    stage: Stage
    _parsed: dict[tuple[str, ...], Namespace]

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Interpolations see the command line; errors come as exceptions."""
        ours = {"prog": "ialp", "parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False}
        return super().init_parser(**ours, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The keys of a config that are ours."""
        add = parser.add_argument
        add(
            "--data_root",
            type=str | None,
            default=None,
            help="Folder that holds the data; null: the built-in catalogue.",
        )
        add("--runs_dir", type=str, default="runs", help="Folder that the runs' folders are made in.")
        add(
            "--upstream", type=dict[str, str | None] | None, default=None, help="What the run builds on: config or run."
        )
        add("--fixed_seed", type=bool, default=False, help="The stage keeps its seed, whichever run builds on it.")
        add("--resume", type=bool, default=True, help="Go on from the last checkpoint of a run that was cut off.")
        add("--missing", type=str, default="build", choices=["build", "fail"], help="What to do about missing stages.")
        add("--busy", type=str, default="refuse", choices=["refuse", "wait"], help="If another process makes this.")
        for key, base in (("log", LogSource), ("judge", JudgeBackend)):
            parser.add_subclass_arguments(base, key, required=False, instantiate=False, help=f"{key}, for all stages.")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Plan the run, name the data, build what is missing, and parse with the inputs' folders."""
        verb, *arguments = args
        self.name_run(verb, arguments)
        if verb == "fit" and self.stage.finished:
            self._report("already finished")
            raise SystemExit(0)
        if verb != "fit" and not (self.stage.finished or self.config[verb].ckpt_path):
            raise UserError(f"{self.stage.name} is not finished: `ialp fit` it first, or give --ckpt_path")
        if verb == "fit" and rank() == 0 and not self._waits and being_made(self.stage.folder):
            raise UserError(busy(self.stage.folder))
        self._check_composition()
        build_missing(self.stage, self.config[verb].missing)

    def _check_composition(self) -> None:
        """Parts that do not fit are refused now, before hours of other stages."""
        described = {key: self.stage.config[key] for key in ("model", "data")}
        cls = find_class(described["model"]["class_path"])
        if not hasattr(cls, "check_composition"):
            return
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(LightningModule, "model")
        parser.add_subclass_arguments(LightningDataModule, "data")
        try:
            made = parser.instantiate_classes(parser.parse_object(described))
        except ValueError as error:
            raise user_error_beneath(error) or error from None
        made.model.check_composition(made.data)
        check_shares(made.data, self.stage.config["trainer"])

    def name_run(self, verb: str, arguments: list[str]) -> None:
        """Plan the run and name its data."""
        self.verb, self._parsed = verb, {}
        with held_back():
            self.stage = plan(self._plain, self._keys(), arguments)
            announce(data_line(self.stage))
        self.config = Namespace({"subcommand": verb, verb: self._parse(self.stage.arguments)})

    def instantiate_classes(self) -> None:
        """Instantiate; what a constructor says to the user comes out from under the parser's own errors."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise user_error_beneath(error) or error from None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the run's folder, loggers, checkpoints and progress."""
        given = self._get(self.config_init, "trainer")
        parts = trainer_parts(self.stage, self.verb, given)
        trainer = super().instantiate_trainer(**parts, **kwargs)
        check_processes(trainer)
        return trainer

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        """Train into the run's folder, or only evaluate a model with `trains = False`; done.json comes last."""
        if rank() > 0:
            return self._train(model, **self._going_on(kwargs))
        with locked(self.stage.folder, self._waits), sigterm_as_exit():
            if not self.stage.finished:  # another process may have finished it while this one waited
                self._fit_in_folder(model, **kwargs)
        self._report()

    @property
    def _waits(self) -> bool:
        """For another process that makes the run; of several processes the others would wait for the first in vain."""
        return launched() == 1 and (CHILD in os.environ or self.config.fit.busy == "wait")

    def validate(self, **kwargs: Any) -> None:
        """Validate the run's checkpoint."""
        self.trainer.validate(**self._with_checkpoint(kwargs))

    def test(self, **kwargs: Any) -> None:
        """Test the run's checkpoint."""
        self.trainer.test(**self._with_checkpoint(kwargs))

    def predict(self, **kwargs: Any) -> None:
        """Predict with the run's checkpoint, into predict/predictions.pt of its folder."""
        if self.trainer.world_size > 1:
            raise UserError("predict works in one process: --trainer.devices 1")
        predictions = self.trainer.predict(**self._with_checkpoint(kwargs))
        path = self.stage.folder / self.verb / "predictions.pt"
        path.parent.mkdir(exist_ok=True, parents=True)
        torch.save(predictions, path)
        print(f"predictions: {path}")

    def _fit_in_folder(self, model: LightningModule, **kwargs: Any) -> None:
        folder, start = self.stage.folder, time.monotonic()
        kwargs = self._going_on(kwargs)
        if kwargs.get("ckpt_path"):
            announce(f"going on from {kwargs['ckpt_path']}")
        else:
            set_aside(folder)
        config = self._parser("fit").dump(self.config.fit, skip_none=False)
        write_atomically(folder / "config.yaml", config)
        (folder / CRASH).unlink(missing_ok=True)  # of the attempt that is resumed
        wandb_runs.begin(self.trainer.loggers, self.stage, resumed=bool(kwargs.get("ckpt_path")))
        try:
            self._train(model, **kwargs)
        except Exception as error:
            # A spent budget or a lost server leaves what is trained; before that, the input must be mended.
            if isinstance(error, UserError) and not any((folder / "checkpoints").glob("*.ckpt")):
                shutil.rmtree(folder)
            else:
                with suppress(OSError):  # a full disk, which the error has told
                    write_atomically(folder / CRASH, f"{type(error).__name__}: {error}\n")
            raise
        write_done(self.stage, self.trainer, model, time.monotonic() - start)
        wandb_runs.end(self.trainer.loggers, folder)

    def _train(self, model: LightningModule, **kwargs: Any) -> None:
        try:
            if getattr(model, "trains", True):
                self.trainer.fit(model, **kwargs)
            else:
                self.trainer.validate(model, datamodule=kwargs.get("datamodule"), verbose=False)
        except Terminated:
            raise
        except SystemExit:
            if self.trainer.state.status == TrainerStatus.INTERRUPTED:
                raise KeyboardInterrupt from None
            raise
        if self.trainer.state.status != TrainerStatus.FINISHED:
            raise KeyboardInterrupt

    def _going_on(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """With the checkpoint to go on from, unless another is named or the run is to start anew."""
        if kwargs.get("ckpt_path") or not self.config.fit.resume:
            return kwargs
        folder = self.stage.folder / "checkpoints"
        if rank() == 0:
            remove_partial(folder)
        path = newest(folder)
        return {**kwargs, "ckpt_path": path and str(path)}

    def _report(self, state: str = "finished") -> None:
        """Table and curves of an online stage; a line for the others."""
        if CHILD in os.environ or rank() > 0:
            return
        if not self.stage.online or state != "finished":  # the summary of an online run names its folder
            print(f"{state}: {self.stage.folder}", flush=True)
        if self.stage.online:
            from ialp.report.curves import draw
            from ialp.report.summary import print_summary

            draw(self.stage.folder)
            print_summary(self.stage.folder)

    def _with_checkpoint(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        kept = sorted((self.stage.folder / "checkpoints").glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
        path = kwargs.pop("ckpt_path", None) or (str(kept[-1]) if kept else None)
        return {"weights_only": True, **{k: v for k, v in kwargs.items() if v is not None}, "ckpt_path": path}

    def _keys(self) -> list[str]:
        """Top-level keys of a config."""
        keys = {action.dest.partition(".")[0] for action in self._subcommand_parsers[self.verb]._actions}
        return sorted(keys - {"help", "config", "print_config"})

    def _parse(self, arguments: list[str]) -> Namespace:
        if tuple(arguments) in self._parsed:  # a parse takes a tenth of a second, planning needs about ten
            return self._parsed[tuple(arguments)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                config = self.parser.parse_args([self.verb, *arguments])[self.verb]
        except (ArgumentError, OmegaConfBaseException) as error:
            if os.environ.get("IALP_DEBUG"):
                raise
            parser = self._subcommand_parsers[self.verb]
            flags = [flag for action in parser._actions for flag in action.option_strings]
            raise complaint(error, flags) from None
        self._parsed[tuple(arguments)] = config
        return config

    def _plain(self, arguments: list[str]) -> dict[str, Any]:
        return self._parse(arguments).as_dict()
