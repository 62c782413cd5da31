"""Questions from a log: what is asked, and what the answer is."""

import pytest
import torch

from ialp.data import Catalogue, Interactions, Log, LogSource
from ialp.datamodules.prompts import PromptDataModule, PromptFormat, draw_others, histories, last_new_items, new_items
from ialp.errors import UserError


class SmallLog(LogSource):
    """40 items; training sequences use the first 20, test sequences the others."""

    def load(self) -> Log:
        catalogue = Catalogue([f"i{n}" for n in range(40)], {"title": [f"number {n + 1}" for n in range(40)]})
        generator = torch.Generator().manual_seed(0)
        train = [(torch.randperm(20, generator=generator)[:6] + 1).tolist() for _ in range(30)]
        test = [(torch.randperm(20, generator=generator)[:5] + 21).tolist() for _ in range(12)]
        parts = Interactions.from_sequences(train), Interactions.from_sequences(test)
        return Log("small", catalogue, *parts)


def module(**arguments) -> PromptDataModule:
    defaults = {
        "interactions": 50,
        "validation": 10,
        "held_out": 8,
        "candidates": 5,
        "prompt": PromptFormat(max_history=3),
        "batch_size": 25,
    }
    data = PromptDataModule(SmallLog(), **(defaults | arguments))
    data.setup()
    return data


def texts_to_items(rows: list[list[str]]) -> list[list[int]]:
    return [[int(text.split()[1]) for text in row] for row in rows]


def test_prompt_data_new_items_leave_out_repeats_and_firsts():
    log = Interactions.from_sequences([[1, 2, 1, 3, 2], [4], [5, 5, 1]])
    assert new_items(log).tolist() == [1, 3, 8]
    assert last_new_items(log).tolist() == [3, 8]


def test_prompt_data_histories_end_before_the_item():
    log = Interactions.from_sequences([[1, 2, 3, 4, 5], [6, 7]])
    history, length, following = histories(log, torch.tensor([1, 4, 6]), 3)
    assert history.tolist() == [[1, 0, 0], [2, 3, 4], [6, 0, 0]]
    assert length.tolist() == [1, 3, 1]
    assert following.tolist() == [2, 5, 7]


def test_prompt_data_others_differ_from_all_that_is_taken():
    taken = torch.tensor([[1, 2, 0], [5, 5, 4]]).repeat(200, 1)
    drawn = draw_others(taken, 6, 9, torch.Generator().manual_seed(0))
    for row, others in zip(taken.tolist(), drawn.tolist(), strict=True):
        assert len(set(others)) == 6 and not set(others) & set(row)
        assert min(others) >= 1 and max(others) <= 9


def test_prompt_data_others_are_uniform():
    drawn = draw_others(torch.zeros(4000, 1, dtype=torch.int64), 2, 8, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn.flatten(), minlength=9)[1:]
    assert counts.min() > 900 and counts.max() < 1100  # of 1,000 expected


def test_prompt_data_answer_is_the_true_next_item_or_none():
    data = module(none_share=0.4)
    sequences = [data.log.train.sequence(i).tolist() for i in range(len(data.log.train))]
    batches = list(data.train_dataloader())
    assert [len(batch.answer) for batch in batches] == [25, 25]
    none = 0
    for batch in batches:
        questions = batch.questions
        for history, candidates, answer in zip(
            texts_to_items(questions.history), texts_to_items(questions.candidates), batch.answer.tolist(), strict=True
        ):
            assert len(history) <= 3 and len(set(candidates)) == 5 and not set(candidates) & set(history)
            following = [s[s.index(history[-1]) + 1] for s in sequences if is_inside(history, s[:-1])]
            if answer == 5:
                none += 1
            else:
                assert candidates[answer] in following
    assert 10 <= none <= 30


def is_inside(part: list[int], sequence: list[int]) -> bool:
    return any(sequence[i : i + len(part)] == part for i in range(len(sequence)))


def test_prompt_data_candidates_are_drawn_anew_in_every_epoch_and_interactions_are_not():
    data = module(batch_size=50)
    data.trainer = trainer = type("Trainer", (), {"current_epoch": 0})()
    data.train_dataloader = lambda: [data._training_batch(list(range(50)))]  # in order
    (first,), (again,) = data.train_dataloader(), data.train_dataloader()
    assert first.questions.prompts == again.questions.prompts
    trainer.current_epoch = 1
    (later,) = data.train_dataloader()
    assert later.questions.history == first.questions.history
    assert later.questions.candidates != first.questions.candidates


def test_prompt_data_validation_interactions_are_others_and_stay_the_same():
    data = module()
    assert len(data._validation[0]) == 10
    assert not long_rows(data._training) & long_rows(data._validation)
    prompts = [[p for batch in data.val_dataloader() for p in batch.questions.prompts] for _ in range(2)]
    assert prompts[0] == prompts[1]


def long_rows(asked: tuple[torch.Tensor, ...]) -> set[tuple[int, ...]]:
    """Histories of three items with what followed, which two interactions hardly ever share."""
    history, length, following = asked
    return {tuple(row) for row in torch.cat([history, following[:, None]], 1)[length == 3].tolist()}


def test_prompt_data_held_out_questions_ask_about_the_last_new_item_of_test_sequences():
    data = module()
    held, bare = data.held_out_questions()
    assert len(held.answer) == len(bare.answer) == 8
    last = {data.log.test.sequence(i)[-1].item() for i in range(len(data.log.test))}
    right = [row[a] for row, a in zip(texts_to_items(held.questions.candidates), held.answer.tolist(), strict=True)]
    assert set(right) <= last
    assert bare.answer.tolist() == [5] * 8
    assert bare.questions.history == held.questions.history
    for row, item in zip(texts_to_items(bare.questions.candidates), right, strict=True):
        assert item not in row


def test_prompt_data_held_out_questions_are_the_same_for_every_seed():
    first, second = (module(seed=seed, interactions=20).held_out_questions()[0] for seed in (0, 1))
    assert first.questions.prompts == second.questions.prompts
    assert torch.equal(first.answer, second.answer)


def test_prompt_data_true_items_stand_in_every_place():
    data = module(interactions=100, batch_size=100, none_share=0.0)
    places = torch.bincount(next(iter(data.train_dataloader())).answer, minlength=5)
    assert places.min() > 5 and len(places) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"none_share": 1.0}, "none_share is 1.0"),
        ({"interactions": 0}, "interactions is 0"),
        ({"candidates": 25, "prompt": PromptFormat(max_history=30)}, "the catalogue has 40 items: 25 candidates"),
    ],
)
def test_prompt_data_mistake_is_named(arguments, message):
    with pytest.raises(UserError, match=message):
        next(iter(module(**arguments).train_dataloader()))
