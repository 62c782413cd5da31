"""Questions from the log that the judge is tuned, calibrated and evaluated on."""

from dataclasses import dataclass

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import share_of_rank
from ialp.errors import UserError, require_positive
from ialp.oracle.prompt import PromptTemplate
from ialp.oracle.questions import PromptBatch, Questions
from ialp.recorded import Recorded


@dataclass
class PromptFormat:
    """How a question is put.

    Attributes:
        template: A prompt template file of one's own.
        max_history: Only the latest so many items are shown.
    """

    template: str | None = None
    max_history: int = 10


class PromptDataModule(Recorded, LightningDataModule):
    """Questions from the log: a history, its true next item among uniformly drawn others.

    Next items that the sequence has shown before are left out: the oracle is never offered an item of the history.
    The interactions are sampled once; their candidates are drawn anew in every epoch. Items to choose from, and those
    of the history, differ from each other.

    Args:
        log: Where the log comes from.
        interactions: So many of the training sequences to tune on; the paper's number.
        validation: Further interactions of the training sequences, to watch the tuning.
        calibration: And further ones, on which the threshold for None is fitted.
        held_out: Questions for the report: the last next item of so many test sequences, all where there are fewer.
        none_share: Share of questions without the true candidate, whose answer is None.
        candidates: K, items to choose from.
        batch_size: Questions per step, over all ranks.
        prompt: How a question is put.
        seed: Of all draws; those of the held-out questions have a fixed seed of their own.
    """

    HELD_OUT_SEED = 2024  # the report's questions are the same for every judge and every tuning

    def __init__(
        self,
        log: LogSource,
        interactions: int = 1000,
        validation: int = 200,
        calibration: int = 500,
        held_out: int = 500,
        none_share: float = 0.1,
        candidates: int = 10,
        batch_size: int = 8,
        prompt: PromptFormat | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= none_share < 1:
            raise UserError(f"data.none_share is {none_share}: it must be at least 0 and below 1")
        require_positive(interactions=interactions, held_out=held_out, batch_size=batch_size)
        self.source = log
        self.interactions, self.validation, self.calibration = interactions, validation, calibration
        self.held_out = held_out
        self.none_share, self.candidates = none_share, candidates
        self.batch_size, self.prompt, self.seed = batch_size, prompt or PromptFormat(), seed
        self.log: Log

    @override
    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "log"):
            return
        log = self.source.load()
        words = log.words.scenario, log.words.item, log.words.behavior, log.attribute_names
        self.template = PromptTemplate(*words, path=self.prompt.template, max_history=self.prompt.max_history)
        generator = torch.Generator().manual_seed(self.seed)
        new = new_items(log.train)
        if len(new) < 2:
            raise UserError(f"{log.name}: {len(new)} training interactions with a new item: none to tune the oracle on")
        order = new[torch.randperm(len(new), generator=generator)]
        count = min(self.interactions, len(order) - 1)
        self._training = histories(log.train, order[:count], self.prompt.max_history)
        watched = order[count : count + self.validation]
        self._validation = histories(log.train, watched, self.prompt.max_history)
        spare = order[count + self.validation :][: self.calibration]  # a small log has none left: it is watched twice
        self._calibration = histories(log.train, spare if len(spare) else watched, self.prompt.max_history)
        self.log = log

    @override
    def train_dataloader(self) -> DataLoader:
        rows = range(len(self._training[0]))
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "data.batch_size")
        return ResumableLoader(rows, batch_size, shuffle=True, collate_fn=self._training_batch)  # type: ignore[arg-type]

    @override
    def val_dataloader(self) -> DataLoader:
        batch = self._ask(*self._validation, self.none_share, torch.Generator().manual_seed(self.seed))
        rows = range(len(batch.answer))
        share_of_rank(self.trainer, len(rows), "data.validation")  # a question that counts twice would be no measure
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "data.batch_size")
        return DataLoader(rows, batch_size, collate_fn=batch.select)  # type: ignore[arg-type]

    def calibration_questions(self) -> tuple[PromptBatch, PromptBatch]:
        """Questions of the training sequences that nothing was tuned on: with the true next item, and without it."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        return self._ask(*self._calibration, 0.0, generator), self._ask(*self._calibration, 1.0, generator)

    def held_out_questions(self) -> tuple[PromptBatch, PromptBatch]:
        """Questions of the test sequences that hold the true next item, and the same ones without it."""
        generator = torch.Generator().manual_seed(self.HELD_OUT_SEED)
        last = last_new_items(self.log.test)
        if not len(last):
            raise UserError(f"{self.log.name}: no test sequence has a new item to ask about")
        rows = last[torch.randperm(len(last), generator=generator)[: self.held_out]]
        asked = histories(self.log.test, rows, self.prompt.max_history)
        return self._ask(*asked, 0.0, generator), self._ask(*asked, 1.0, generator)

    @override
    def transfer_batch_to_device(self, batch: PromptBatch, device: torch.device, dataloader_idx: int) -> PromptBatch:
        return PromptBatch(batch.questions, batch.answer.to(device))

    def _training_batch(self, indices: list[int]) -> PromptBatch:
        epoch = self.trainer.current_epoch if self.trainer else 0
        generator = torch.Generator().manual_seed(hash((self.seed, epoch, *indices)))
        history, length, following = self._training
        return self._ask(history[indices], length[indices], following[indices], self.none_share, generator)

    def _ask(
        self, history: Tensor, length: Tensor, following: Tensor, none_share: float, generator: torch.Generator
    ) -> PromptBatch:
        """Candidates around the true next items (B,), of which a share is left out."""
        taken = torch.cat([history, following[:, None]], dim=1)
        offered = draw_others(taken, self.candidates, self.log.catalogue.num_items, generator)  # (B, K)
        place = torch.randint(self.candidates, following.shape, generator=generator)
        none = torch.rand(following.shape, generator=generator) < none_share
        offered[~none] = offered[~none].scatter(1, place[~none, None], following[~none, None])
        questions = Questions.from_items(self.template, self.log.catalogue.texts, history, length, offered)
        return PromptBatch(questions, torch.where(none, self.candidates, place))


def new_items(log: Interactions) -> Tensor:
    """Positions in the flat log whose item is neither the sequence's first nor stands earlier in the sequence."""
    owner = torch.arange(len(log)).repeat_interleave(log.lengths)
    pairs = owner * (int(log.items.max()) + 1) + log.items
    order = pairs.argsort(stable=True)
    repeats = torch.zeros(len(pairs), dtype=torch.bool)
    repeats[order[1:]] = pairs[order[1:]] == pairs[order[:-1]]
    repeats[log.offsets[:-1]] = True
    return (~repeats).nonzero().squeeze(1)


def last_new_items(log: Interactions) -> Tensor:
    """The last of `new_items` of every sequence that has one."""
    new = new_items(log)
    owner = torch.searchsorted(log.offsets, new, right=True)
    is_last = torch.ones(len(new), dtype=torch.bool)
    is_last[:-1] = owner[:-1] != owner[1:]
    return new[is_last]


def histories(log: Interactions, positions: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """What came before the items at flat `positions` (n,).

    Returns:
        (n, count) the latest items of the history, right-padded with 0; (n,) how many; (n,) the items themselves.
    """
    begin = log.offsets[torch.searchsorted(log.offsets, positions, right=True) - 1]
    begin = torch.maximum(begin, positions - count)
    index = begin[:, None] + torch.arange(count)
    valid = index < positions[:, None]
    return log.items[index.clamp(max=len(log.items) - 1)] * valid, positions - begin, log.items[positions]


def draw_others(taken: Tensor, count: int, num_items: int, generator: torch.Generator) -> Tensor:
    """(B, count) items drawn uniformly, different from each other and from those taken (B, M), where 0 is padding.

    Raises:
        UserError: The catalogue has too few items.
    """
    if num_items < (needed := count + taken.shape[1]):
        raise UserError(
            f"the catalogue has {num_items} items: {count} candidates beside a history take {needed}; "
            "lower data.candidates or data.prompt.max_history"
        )
    drawn = torch.randint(1, num_items + 1, (len(taken), count), generator=generator)
    while (clash := clashes(drawn, taken)).any():
        drawn[clash] = torch.randint(1, num_items + 1, (int(clash.sum()),), generator=generator)
    return drawn


def clashes(drawn: Tensor, taken: Tensor) -> Tensor:
    """(B, K) bool: the item is among those taken (B, M), or an earlier one of its row."""
    earlier = torch.ones(drawn.shape[1], drawn.shape[1], dtype=torch.bool).tril(-1)
    repeated = ((drawn[:, :, None] == drawn[:, None, :]) & earlier).any(2)
    return repeated | (drawn[:, :, None] == taken[:, None, :]).any(2)
