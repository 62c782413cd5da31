"""`ialp fit`: Lightning's CLI, around a run's folder and the stages that the run builds on."""

import os
import shutil
import time
import warnings
from argparse import ArgumentError
from contextlib import suppress
from typing import Any, TypeVar

import yaml
from jsonargparse import Namespace, set_parsing_settings
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

from ialp.data import LogSource
from ialp.errors import UserError, user_error_beneath
from ialp.experiment.building import announce, build_missing
from ialp.experiment.checkpoint_file import AtomicCheckpointIO, newest
from ialp.experiment.class_names import class_paths, find_class
from ialp.experiment.composition import compose
from ialp.experiment.config_check import check_config, complaint
from ialp.experiment.config_print import config_text
from ialp.experiment.messages import data_line, quiet
from ialp.experiment.processes import CHILD, launched, rank
from ialp.experiment.resume import ResumeCheckpoint
from ialp.experiment.signals import Terminated, sigterm_as_exit
from ialp.experiment.stages import Stage, plan
from ialp.experiment.trainer_parts import check_processes, check_shares, trainer_parts
from ialp.files import remove_partial, write_atomically
from ialp.oracle.backends.base import JudgeBackend
from ialp.runs.folder import CRASH
from ialp.runs.lock import being_made, busy, locked, set_aside
from ialp.runs.open import instantiate
from ialp.runs.record import write_done


def run(command: str, arguments: list[str]) -> None:
    """Run `ialp fit|validate|test`."""
    try:
        if command == "fit":
            command_line(IALPCLI, arguments).fit()
        else:
            command_line(EvaluationCLI, arguments).evaluate(command)
    except MisconfigurationException as error:  # how Lightning says what a module or config lacks
        raise UserError(str(error).splitlines()[0]) from error


CLI = TypeVar("CLI", bound="IALPCLI")


def command_line(kind: type[CLI], arguments: list[str]) -> CLI:
    """A command line of this kind, with these arguments parsed and what they name made; nothing has run."""
    quiet()
    class_paths()  # imports every class, so that its short name is known
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    return kind(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        auto_configure_optimizers=False,  # each module owns its optimiser
        save_config_callback=None,  # saved with the rest of the run's folder
        trainer_defaults={"enable_model_summary": False, "devices": 1},  # more processes where they are asked for
        parser_kwargs={"prog": kind.prog, "parser_mode": "omegaconf+", "exit_on_error": False},
        args=arguments,
        run=False,
    )


class IALPCLI(LightningCLI):
    """Lightning's CLI, around a run's folder and the stages that the run builds on."""

    prog = "ialp fit"
    stage: Stage

    @override
    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        self._parsed: dict[tuple[str, ...], Namespace] = {}
        return super().init_parser(allow_abbrev=False, **kwargs)

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add = parser.add_argument
        add("--data_root", type=str | None, help="Folder that holds the data; null: the built-in catalogue.")
        add("--runs_dir", type=str, default="runs", help="Folder that the runs' folders are made in.")
        add("--upstream", type=dict[str, str | None] | None, help="What the run builds on: config or run.")
        add("--fixed_seed", type=bool, default=False, help="The stage keeps its seed, whichever run builds on it.")
        add("--resume", type=bool, default=True, help="Go on from the last checkpoint of a run that was cut off.")
        add("--missing", type=str, default="build", choices=["build", "fail"], help="What to do about missing stages.")
        add("--busy", type=str, default="refuse", choices=["refuse", "wait"], help="If another process makes this.")
        for key, base in (("log", LogSource), ("judge", JudgeBackend)):
            parser.add_subclass_arguments(base, key, required=False, instantiate=False, help=f"{key}, for all stages.")

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Plan the run, name the data, build what is missing."""
        arguments = list(args)
        if any(word.startswith("--print_config") for word in arguments):
            print(self._composed_config(arguments), end="")
            raise SystemExit(0)
        self.stage = plan(self.parse, self.keys(), arguments)
        announce(data_line(self.stage))
        self.config = self._namespace(self.stage.arguments)
        self.prepare()

    def prepare(self) -> None:
        """Refuse what cannot be trained, and build what is missing."""
        if self.stage.finished:
            self.report("already finished")
            raise SystemExit(0)
        if rank() == 0 and not self._waits and being_made(self.stage.folder):
            raise UserError(busy(self.stage.folder))
        self._check_composition()
        build_missing(self.stage, self.config.missing)

    def parse(self, arguments: list[str]) -> dict[str, Any]:
        """The config that these arguments make; a `UserError` where they cannot be parsed."""
        return self._namespace(arguments).as_dict()

    def keys(self) -> list[str]:
        """Top-level keys of a config."""
        return sorted(vars(self.parser.get_defaults()).keys() - {"config"})

    @override
    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:  # the parser's, around what a constructor says to the user
            raise user_error_beneath(error) or error from None

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        parts = trainer_parts(self.stage, self.config_init["trainer"])
        trainer = super().instantiate_trainer(**parts, **kwargs)
        check_processes(trainer)
        return trainer

    def fit(self) -> None:
        """Train into the run's folder, or only evaluate a model with `trains = False`; done.json comes last."""
        if rank() > 0:
            return self._train(self._start())
        with locked(self.stage.folder, self._waits), sigterm_as_exit():
            if not self.stage.finished:  # another process may have finished it while this one waited
                self._fit_in_folder()
        self.report()

    def report(self, state: str = "finished") -> None:
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

    def _namespace(self, arguments: list[str]) -> Namespace:
        if (key := tuple(arguments)) in self._parsed:  # a parse takes a tenth of a second, planning needs about ten
            return self._parsed[key]
        composed = compose(arguments)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._parsed[key] = self.parser.parse_args(composed.arguments)
        except (ArgumentError, OmegaConfBaseException) as error:
            if os.environ.get("IALP_DEBUG"):
                raise
            raise complaint(error, composed) from None
        return self._parsed[key]

    def _composed_config(self, arguments: list[str]) -> str:
        """What --print_config prints; =skip_default leaves out the classes' defaults."""
        defaults = "--print_config=skip_default" not in arguments
        arguments = [word for word in arguments if not word.startswith("--print_config")]
        composed = compose(arguments)
        check_config(composed, self.keys())
        parsed = yaml.safe_load(self.parser.dump(self._namespace(arguments), skip_none=False))
        return config_text(parsed, composed, defaults)

    def _check_composition(self) -> None:
        """Parts that do not fit are refused now, before hours of other stages."""
        config = self.stage.config
        if hasattr(find_class(config["model"]["class_path"]), "check_composition"):
            data: Any = instantiate(config["data"], LightningDataModule)
            model: Any = instantiate(config["model"], LightningModule)
            model.check_composition(data)
            check_shares(data, config["trainer"])

    @property
    def _waits(self) -> bool:
        """For another process that makes the run; of several processes the others would wait for the first in vain."""
        return launched() == 1 and (CHILD in os.environ or self.config.busy == "wait")

    def _fit_in_folder(self) -> None:
        folder, began, start = self.stage.folder, time.monotonic(), self._start()
        if start:
            remove_partial(folder)  # what a killed process was writing
            announce(f"going on from {start}")
        else:
            set_aside(folder)
        write_atomically(folder / "config.yaml", self.parser.dump(self.config, skip_none=False))
        (folder / CRASH).unlink(missing_ok=True)  # of the attempt that is resumed
        settings = {key: self.stage.config[key] for key in ("model", "data", "trainer")}
        for logger in self.trainer.loggers:  # Weights & Biases, say
            logger.log_hyperparams({"stage": self.stage.name, "seed": self.stage.seed, **settings})
        try:
            self._train(start)
        except Exception as error:
            # A spent budget or a lost server leaves what is trained; before that, the input must be mended.
            if isinstance(error, UserError) and not any((folder / "checkpoints").glob("*.ckpt")):
                shutil.rmtree(folder)
            else:
                with suppress(OSError):  # a full disk, which the error has told
                    write_atomically(folder / CRASH, f"{type(error).__name__}: {error}\n")
            raise
        self._write_done(time.monotonic() - began)

    def _write_done(self, seconds: float) -> None:
        stage, log, callbacks = self.stage, self.stage.log, self.trainer.callbacks  # type: ignore[attr-defined]
        resume = next((each for each in callbacks if isinstance(each, ResumeCheckpoint)), None)
        write_done(
            stage.folder,
            stage=stage.name,
            seed=stage.seed,
            fingerprint=stage.fingerprint,
            config=stage.config,
            upstream={key: str(each.folder) for key, each in stage.upstream.items()},
            data={"name": log.name, "items": log.catalogue.num_items, "fingerprint": log.fingerprint} if log else None,
            metrics={name: float(value) for name, value in self.trainer.callback_metrics.items()},
            results=self.model.results() if hasattr(self.model, "results") else {},
            seconds=round(seconds + (resume.seconds if resume else 0), 1),
            resumed=resume.resumed if resume else 0,
            processes=self.trainer.world_size,
        )

    def _start(self) -> str | None:
        """The checkpoint to go on from."""
        path = newest(self.stage.folder / "checkpoints") if self.config.resume else None
        return str(path) if path else None

    def _train(self, start: str | None) -> None:
        try:
            if getattr(self.model, "trains", True):
                self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=start, weights_only=True)
            else:
                self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
        except SystemExit as end:
            if not isinstance(end, Terminated) and self.trainer.state.status == TrainerStatus.INTERRUPTED:
                raise KeyboardInterrupt from None
            raise
        if self.trainer.state.status != TrainerStatus.FINISHED:
            raise KeyboardInterrupt


class EvaluationCLI(IALPCLI):
    """Lightning's `validate` and `test` of a finished run; what they write lies in folders of their own."""

    prog = "ialp validate|test"

    @override
    def prepare(self) -> None:
        if not self.stage.finished:
            raise UserError(f"{self.stage.name} is not finished: `ialp fit` it first")

    def evaluate(self, command: str) -> None:
        """The metrics of the validation or test data, under `validate/` or `test/` of the run's folder."""
        folder = self.stage.folder / command
        trainer = Trainer(
            accelerator=self.config.trainer.accelerator,
            devices=1,
            default_root_dir=str(folder),
            logger=False,
            plugins=[AtomicCheckpointIO()],
            enable_model_summary=False,
        )
        checkpoint = newest(self.stage.folder / "checkpoints")
        path = str(checkpoint) if checkpoint else None  # a scheme that is only evaluated has none
        getattr(trainer, command)(self.model, datamodule=self.datamodule, ckpt_path=path, weights_only=True)
