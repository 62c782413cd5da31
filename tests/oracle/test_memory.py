"""A judge goes on where memory ends, with smaller batches; and 4 bits are refused where they cannot be had."""

import importlib.util
import logging

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import LocalLM, Questions
from ialp.oracle.backends.scoring import is_out_of_memory

CPU_ERRORS = [
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes."),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
]


@pytest.fixture
def questions(catalogue, template) -> Questions:
    """Nine prompts of mixed lengths."""
    generator = torch.Generator().manual_seed(0)
    length = torch.tensor([4, 0, 2, 1, 3, 4, 1, 2, 4])
    history = torch.randint(1, 49, (9, 4), generator=generator) * (torch.arange(4) < length[:, None])
    candidates = torch.randint(1, 49, (9, 10), generator=generator)
    return Questions.from_items(template, catalogue.texts, history, length, candidates)


class SmallMemory(torch.nn.Module):
    """A model whose forward pass fails above so many tokens."""

    def __init__(self, model: torch.nn.Module, limit: int, error: Exception):
        super().__init__()
        self.model, self.limit, self.error = model, limit, error
        self.sizes: list[int] = []
        self.config, self.device = model.config, model.device

    def forward(self, input_ids: torch.Tensor, **arguments):
        self.sizes.append(input_ids.numel())
        if (len(input_ids) > 1 and input_ids.numel() > self.limit) or input_ids.numel() > 10 * self.limit:
            raise self.error
        return self.model(input_ids, **arguments)


@pytest.mark.parametrize("error", CPU_ERRORS, ids=["cpu", "windows", "gpu"])
def test_local_lm_out_of_memory_halves_the_batches_for_good(tiny_model, questions, caplog, error):
    expected = LocalLM(tiny_model).log_probabilities(questions)
    judge = LocalLM(tiny_model, batch_tokens=100_000)
    judge._scorer.model = SmallMemory(judge._scorer.model, 300, error)
    with caplog.at_level(logging.WARNING, "ialp"):
        answers = judge.log_probabilities(questions)
    assert torch.allclose(answers, expected, atol=1e-5)
    assert 1 <= judge._scorer.batch_tokens <= 600
    failures = sum(size > 300 for size in judge._scorer.model.sizes)
    assert failures > 1 and len(caplog.messages) == failures
    assert "memory ended at 9 prompts" in caplog.messages[0]
    caplog.clear()
    assert torch.allclose(judge.log_probabilities(questions), expected, atol=1e-5)
    assert not caplog.messages  # it has learnt what fits


def test_local_lm_single_prompt_that_does_not_fit(tiny_model, questions):
    judge = LocalLM(tiny_model)
    judge._scorer.model = SmallMemory(judge._scorer.model, 1, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(UserError, match=rf"memory does not suffice for one prompt \(\d+ tokens\) of {tiny_model}"):
        judge.log_probabilities(questions)


def test_local_lm_other_errors_are_not_swallowed(tiny_model, questions):
    judge = LocalLM(tiny_model, batch_tokens=100_000)
    judge._scorer.model = SmallMemory(judge._scorer.model, 300, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        judge.log_probabilities(questions)


def test_local_lm_real_allocation_that_fails_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.float32)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_local_lm_four_bits_need_a_gpu(tiny_model, questions):
    with pytest.raises(UserError, match="nf4, which needs a GPU, and the device is cpu: set it to none"):
        LocalLM(tiny_model, quantization="nf4", device="cpu").log_probabilities(questions)


def test_local_lm_four_bits_need_bitsandbytes(tiny_model, questions, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "bitsandbytes" else found(name))
    with pytest.raises(UserError, match=r"needs bitsandbytes: pip install 'ialp\[quantize\]'"):
        LocalLM(tiny_model, quantization="nf4", device="cuda").log_probabilities(questions)


def test_local_lm_how_four_bits_are_packed(monkeypatch):
    from ialp.oracle.backends.loading import four_bits

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: object())
    config = four_bits("bfloat16", "cuda")
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
