"""Label scoring with a language model, against a plain forward pass per prompt."""

import importlib.util
import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from ialp.errors import UserError
from ialp.oracle import LocalLM, LoRA, Questions
from ialp.oracle.backends import local
from ialp.oracle.prompt import PromptTemplate
from tests.oracle.conftest import save_tiny_model


@pytest.fixture
def questions(catalogue, template) -> Questions:
    """Prompts of mixed lengths: histories of 0 to 4 items."""
    generator = torch.Generator().manual_seed(0)
    length = torch.tensor([4, 0, 2, 1, 3, 4, 1])
    history = torch.randint(1, 49, (7, 4), generator=generator) * (torch.arange(4) < length[:, None])
    candidates = torch.randint(1, 49, (7, 10), generator=generator)
    return Questions.from_items(template, catalogue.texts, history, length, candidates)


@torch.no_grad()
def one_by_one(model: torch.nn.Module, folder: str, questions: Questions) -> Tensor:
    """What is to be computed, in the plainest way: no padding, no shared prefix, no batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    labels = [tokenizer.encode(f"select {label}")[-1] for label in questions.labels]
    logits = [model(torch.tensor([tokenizer.encode(prompt)])).logits[0, -1] for prompt in questions.prompts]
    return torch.stack(logits)[:, labels].log_softmax(1)


def plain_model(folder: str) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("batch_tokens", [1, 400, 100_000])
@pytest.mark.parametrize("reuse_prefix", [True, False])
def test_local_lm_equal_to_one_forward_pass_per_prompt(tiny_model, questions, batch_tokens, reuse_prefix):
    judge = LocalLM(tiny_model, batch_tokens=batch_tokens)
    judge._scorer.reuse_prefix = reuse_prefix
    expected = one_by_one(plain_model(tiny_model), tiny_model, questions)
    assert expected.std(0).min() > 0.1  # the model does read
    log_probabilities = judge.log_probabilities(questions)
    assert torch.allclose(log_probabilities, expected, atol=1e-4)
    assert torch.allclose(log_probabilities.exp().sum(1), torch.ones(7), atol=1e-5)


def test_local_lm_prefix_is_read_once(tiny_model, questions, monkeypatch):
    judge = LocalLM(tiny_model, batch_tokens=1)
    shapes = []
    forward = judge._scorer.model.forward
    monkeypatch.setattr(
        judge._scorer.model, "forward", lambda **kw: shapes.append(kw["input_ids"].shape) or forward(**kw)
    )
    judge.log_probabilities(questions)
    prompts, shared = judge._scorer.encode(questions)
    assert shared > 100
    rest = sorted((len(prompt) - shared for prompt in prompts), reverse=True)
    assert shapes == [(1, shared)] + [(1, length) for length in rest]
    judge.log_probabilities(questions)
    assert shapes[8:] == [(1, length) for length in rest]


@pytest.mark.parametrize("budget", [1, 150, 500, 10_000])
def test_local_lm_batches_keep_to_their_tokens(tiny_model, questions, monkeypatch, budget):
    judge = LocalLM(tiny_model, batch_tokens=budget)
    shapes = []
    forward = judge._scorer.model.forward
    monkeypatch.setattr(
        judge._scorer.model, "forward", lambda **kw: shapes.append(kw["input_ids"].shape) or forward(**kw)
    )
    judge.log_probabilities(questions)
    assert all(rows * length <= budget or rows == 1 for rows, length in shapes)
    assert sum(rows for rows, _ in shapes[1:]) == len(questions)
    lengths = [length for _, length in shapes[1:]]
    assert lengths == sorted(lengths, reverse=True)
    assert (len(lengths) == 1) == (budget == 10_000)


def test_local_lm_sliding_window_shares_its_prefix_while_it_holds_all_of_it(questions, tmp_path):
    for window, holds in ((4096, True), (64, False)):
        folder = save_tiny_model(tmp_path / str(window), questions.prompts[:3], sliding_window=window)
        judge = LocalLM(folder)
        expected = one_by_one(plain_model(folder), folder, questions)
        assert torch.allclose(judge.log_probabilities(questions), expected, atol=1e-4)
        assert (judge._scorer._prefix[1] is not None) == holds


def test_local_lm_prefix_that_the_tokenizer_merges_with_what_follows(tiny_model, questions):
    """The prefix ends with a space, which byte-level tokenizers join to the next word."""
    judge = LocalLM(tiny_model)
    prompts, shared = judge._scorer.encode(questions)
    prefix = judge._scorer.tokenizer.encode(questions.template.prefix)
    assert shared == len(prefix) - 1
    assert all(prompt[:shared] == prefix[:shared] for prompt in prompts)
    assert any(prompt[shared] != prefix[shared] for prompt in prompts)


def make_adapter(folder: str, path: Path, lora: LoRA | None = None) -> str:
    """An adapter that changes the answers: trained ones differ from zero, too."""
    tuner = LocalLM(folder).tuner(lora or LoRA(rank=4))
    torch.manual_seed(1)
    for name, parameter in tuner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    tuner.save(path / "oracle")
    return str(path)


@pytest.mark.parametrize("batch_tokens", [1, 400, 100_000])
@pytest.mark.parametrize("reuse_prefix", [True, False])
def test_local_lm_equal_with_an_adapter(tiny_model, questions, tmp_path, reuse_prefix, batch_tokens):
    from peft import PeftModel

    folder = make_adapter(tiny_model, tmp_path)
    expected = one_by_one(PeftModel.from_pretrained(plain_model(tiny_model), f"{folder}/oracle"), tiny_model, questions)
    judge = LocalLM(tiny_model, batch_tokens=batch_tokens).tuned(folder)
    assert (judge.batch_tokens, judge.model) == (batch_tokens, tiny_model)
    judge._scorer.reuse_prefix = reuse_prefix
    assert torch.allclose(judge.log_probabilities(questions), expected, atol=1e-4)
    assert (expected - LocalLM(tiny_model).log_probabilities(questions)).abs().max() > 0.1


def test_local_lm_adapter_folder_alone_will_do(tiny_model, questions, tmp_path):
    run = make_adapter(tiny_model, tmp_path)
    (tmp_path / "oracle" / "oracle.json").unlink()  # as PEFT itself writes it
    judge = LocalLM(tiny_model, adapter=f"{run}/oracle")
    assert (judge.log_probabilities(questions) - LocalLM(tiny_model).log_probabilities(questions)).abs().max() > 0.1


def test_local_lm_loading_takes_nothing_of_torchs_chance(tiny_model, questions, tmp_path):
    """A judge that is loaded by a thread must not change what the learner draws meanwhile."""
    folder = make_adapter(tiny_model, tmp_path)
    before = torch.get_rng_state()
    LocalLM(tiny_model).tuned(folder).log_probabilities(questions)
    assert torch.equal(torch.get_rng_state(), before)


def test_local_lm_adapter_of_another_model_is_refused(tiny_model, questions, tmp_path):
    other = save_tiny_model(tmp_path / "other", questions.prompts[:2], seed=1)
    folder = make_adapter(other, tmp_path / "run")
    with pytest.raises(UserError, match=rf"oracle\.json: tuned on {other}, but the judge is {tiny_model}"):
        LocalLM(tiny_model, adapter=folder).log_probabilities(questions)


def test_local_lm_adapter_that_does_not_fit_is_refused(tiny_model, questions, tmp_path):
    wide = save_tiny_model(tmp_path / "wide", questions.prompts[:2], hidden_size=64)
    folder = make_adapter(wide, tmp_path / "run")
    (tmp_path / "run" / "oracle" / "oracle.json").unlink()
    with pytest.raises(UserError, match="does not fit"):
        LocalLM(tiny_model, adapter=folder).log_probabilities(questions)


def test_local_lm_missing_adapter_is_named(tiny_model, tmp_path):
    with pytest.raises(UserError, match=rf"adapter {tmp_path}: no oracle\.json there"):
        _ = LocalLM(tiny_model, adapter=str(tmp_path)).fingerprint


def test_local_lm_no_adapter_upon_an_adapter(tiny_model, tmp_path):
    with pytest.raises(UserError, match="has the adapter run already"):
        LocalLM(tiny_model, adapter="run").tuner(LoRA())


def test_local_lm_layers_that_do_not_exist_are_refused(tiny_model):
    with pytest.raises(UserError, match="LoRA does not fit"):
        LocalLM(tiny_model).tuner(LoRA(target_modules=["no_such_layer"]))


def test_local_lm_tuner_agrees_with_the_judge(tiny_model, questions):
    """Fresh adapters change nothing, and training reads the answer in the same place."""
    tuner = LocalLM(tiny_model).tuner(LoRA(rank=4)).eval()
    answer = torch.tensor([0, 3, 10, 9, 1, 2, 5])
    loss, log_probabilities = tuner(questions, answer)
    assert torch.allclose(log_probabilities, LocalLM(tiny_model).log_probabilities(questions), atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    plain = plain_model(tiny_model)
    right = [tokenizer.encode(f"x {questions.labels[i]}")[-1] for i in answer]
    with torch.no_grad():
        logits = [plain(torch.tensor([tokenizer.encode(prompt)])).logits[0, -1] for prompt in questions.prompts]
    assert loss.item() == pytest.approx(
        torch.nn.functional.cross_entropy(torch.stack(logits), torch.tensor(right)).item(), abs=1e-4
    )


def test_local_lm_gradients_flow_through_the_shared_prefix(tiny_model, questions):
    gradients = []
    for reuse_prefix in (True, False):
        tuner = LocalLM(tiny_model).tuner(LoRA(rank=4, dropout=0.0))
        tuner.scorer.reuse_prefix = reuse_prefix
        for index, (name, parameter) in enumerate(tuner.named_parameters()):
            if "lora" in name:
                torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(index))
        tuner(questions, torch.arange(7))[0].backward()
        gradients.append([p.grad for p in tuner.parameters() if p.requires_grad])
    for shared, plain in zip(*gradients, strict=True):
        assert torch.allclose(shared, plain, atol=1e-5)
        assert shared.abs().max() > 0


def test_local_lm_only_adapters_are_trained_and_saved(tiny_model, tmp_path):
    tuner = LocalLM(tiny_model).tuner(LoRA(rank=4))
    assert all("lora" in name for name, parameter in tuner.named_parameters() if parameter.requires_grad)
    make_adapter(tiny_model, tmp_path)
    saved = load_file(tmp_path / "oracle" / "adapter_model.safetensors")
    assert saved and all("lora" in name for name in saved)
    about = json.loads((tmp_path / "oracle" / "oracle.json").read_text())
    assert (about["judge"], about["model"], about["dtype"]) == ("LocalLM", tiny_model, "float32")


def test_local_lm_checkpointed_tuning_learns_the_same(tiny_model, questions):
    """A checkpointed layer keeps no keys and values: a prefix read apart would be lost without a word."""
    gradients = []
    for checkpointing in (True, False):
        tuner = LocalLM(tiny_model, checkpointing=checkpointing).tuner(LoRA(rank=4, dropout=0.0))
        for index, (name, parameter) in enumerate(tuner.named_parameters()):
            if "lora" in name:
                torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(index))
        tuner(questions, torch.arange(7))[0].backward()
        assert tuner.network.is_gradient_checkpointing == checkpointing
        gradients.append([p.grad for p in tuner.parameters() if p.requires_grad])
    for forgetful, plain in zip(*gradients, strict=True):
        assert torch.allclose(forgetful, plain, atol=1e-5) and plain.abs().max() > 0


def test_local_lm_fingerprint_covers_all_that_changes_an_answer(tiny_model, tmp_path):
    folder = make_adapter(tiny_model, tmp_path / "run")
    other = save_tiny_model(tmp_path / "other", ["red river"], seed=1)
    judges = [
        LocalLM(tiny_model),
        LocalLM(other),
        LocalLM(tiny_model, adapter=folder),
        LocalLM(tiny_model, dtype="bfloat16"),
        LocalLM(tiny_model, dtype="bfloat16", quantization="nf4"),
    ]
    assert len({judge.fingerprint for judge in judges}) == len(judges)
    assert LocalLM(tiny_model, batch_tokens=7, checkpointing=True, device="cpu").fingerprint == judges[0].fingerprint
    before = judges[2].fingerprint
    make_adapter(tiny_model, tmp_path / "run", LoRA(rank=2))
    assert LocalLM(tiny_model, adapter=folder).fingerprint != before


def test_local_lm_low_mass_on_the_labels_is_warned_about_once(tiny_model, questions, monkeypatch):
    monkeypatch.setattr(local, "ENOUGH_QUESTIONS", 10)
    judge = LocalLM(tiny_model)
    assert judge.label_mass is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge.log_probabilities(questions)
    with pytest.warns(UserWarning, match=r"does not answer in the format; tune it"):
        judge.log_probabilities(questions)
    assert 0 < judge.label_mass < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge.log_probabilities(questions)


def test_local_lm_label_that_the_tokenizer_splits(tiny_model, questions, monkeypatch):
    monkeypatch.setattr(PromptTemplate, "labels", lambda self, k: [*(f"label{i}" for i in range(k)), "none"])
    with pytest.raises(UserError, match=rf'tokenizer of {tiny_model} does not make one token of the label "label0"'):
        LocalLM(tiny_model).log_probabilities(questions)


def test_local_lm_labels_that_share_a_token(tiny_model, questions, monkeypatch):
    monkeypatch.setattr(PromptTemplate, "labels", lambda self, k: ["a"] * (k + 1))
    with pytest.raises(UserError, match='one token for the labels "a" and "a"'):
        LocalLM(tiny_model).log_probabilities(questions)


def test_local_lm_prompt_beyond_the_context(questions, tmp_path):
    short = save_tiny_model(tmp_path, questions.prompts, max_position_embeddings=64)
    with pytest.raises(UserError, match="does not fit into the 64 of"):
        LocalLM(short).log_probabilities(questions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "/no/such/folder"}, "judge /no/such/folder: no causal language model"),
    ],
)
def test_local_lm_judge_that_cannot_be_loaded(tiny_model, questions, arguments, message):
    with pytest.raises(UserError, match=message):
        LocalLM(**({"model": tiny_model} | arguments)).log_probabilities(questions)


def test_local_lm_arguments_are_checked():
    with pytest.raises(UserError, match="batch_tokens is 0"):
        LocalLM(batch_tokens=0)


def test_local_lm_half_precision_answers_alike(tiny_model, questions):
    exact, rounded = (
        LocalLM(tiny_model, dtype=dtype).log_probabilities(questions) for dtype in ("float32", "bfloat16")
    )
    assert rounded.dtype == torch.float32
    assert torch.allclose(exact, rounded, atol=0.5)


def test_local_lm_adapter_is_what_peft_and_vllm_load(tiny_model, questions, tmp_path):
    """Loaded by peft alone it gives the judge's answers; its files hold what vLLM's loader asks of them."""
    import json

    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tuner = LocalLM(tiny_model).tuner(LoRA(rank=4, dropout=0.0))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in tuner.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    tuner.save(tmp_path / "oracle")
    about = json.loads((tmp_path / "oracle" / "adapter_config.json").read_text())
    assert about["peft_type"] == "LORA" and about["r"] == 4 and about["lora_alpha"] == 32.0
    assert (
        about["bias"] == "none" and not about["modules_to_save"] and not about["use_rslora"] and not about["use_dora"]
    )
    assert about["base_model_name_or_path"] == tiny_model and isinstance(about["target_modules"], list)
    tensors = load_file(tmp_path / "oracle" / "adapter_model.safetensors")
    names = {name.rpartition(".lora_")[0] for name in tensors}
    assert len(tensors) == 2 * len(names) and all(name.startswith("base_model.model.model.layers.") for name in names)
    assert {name.rpartition(".")[2] for name in names} == {name.rpartition(".")[2] for name in about["target_modules"]}

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), str(tmp_path / "oracle")).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    labels = [tokenizer(f"{questions.prompts[0]} {label}")["input_ids"][-1] for label in questions.labels]
    with torch.no_grad():
        logits = [model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1] for prompt in questions.prompts]
    expected = torch.stack(logits)[:, labels].log_softmax(1)
    assert torch.allclose(LocalLM(tiny_model, str(tmp_path)).log_probabilities(questions), expected, atol=1e-4)


def test_local_lm_names_the_way_out_where_a_gpus_memory_ends(tiny_model, questions, monkeypatch):
    def fail(prompts: list, shared: int) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    judge = LocalLM(tiny_model)
    monkeypatch.setattr(judge._scorer, "next_token_logits", fail)
    with pytest.raises(UserError, match=r"does not suffice for judge\.batch_tokens = 2048: lower it"):
        judge.log_probabilities(questions)


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
    from ialp.oracle.backends.loading import _four_bits

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: object())
    config = _four_bits("bfloat16", "cuda")
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
