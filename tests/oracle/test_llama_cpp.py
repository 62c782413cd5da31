"""ServerLM against a real llama.cpp server, with a tiny model of random weights.

pip install 'llama-cpp-python[server]' gguf
"""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import JudgementCache, Oracle, ServerLM
from tests.helpers.asking import items, questions

pytestmark = pytest.mark.slow
llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
gguf = pytest.importorskip("gguf", reason="gguf is not installed")

WIDTH, HIDDEN, HEADS, CONTEXT = 32, 64, 4, 2048
SPECIAL = ["<unk>", "<s>", "</s>"]
LABELS = "abcdefghijk"


def write_tiny_model(path: Path) -> None:
    """A random llama of one layer, whose tokenizer knows bytes and " a" to " k"."""
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *(f"▁{label}" for label in LABELS)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(LABELS)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

    embedding, output = matrix(len(tokens), WIDTH) * 3, matrix(len(tokens), WIDTH) * 3
    embedding[:, 0] += 12  # one direction of the stream is always positive, and the labels like it
    output[-len(LABELS) :, 0] += 2
    tensors = {"token_embd": embedding, "output": output, "output_norm": np.ones(WIDTH, np.float32)}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensors[f"blk.0.{name}"] = matrix(WIDTH, WIDTH)
    tensors |= {"blk.0.ffn_gate": matrix(HIDDEN, WIDTH), "blk.0.ffn_up": matrix(HIDDEN, WIDTH)}
    tensors |= {"blk.0.ffn_down": matrix(WIDTH, HIDDEN)}
    tensors |= {f"blk.0.{name}_norm": np.ones(WIDTH, np.float32) for name in ("attn", "ffn")}
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("llama")
    write_tiny_model(folder / "tiny.gguf")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--model", folder / "tiny.gguf", "--port", port, "--n_ctx", CONTEXT, "--n_threads", 1]
    command = [sys.executable, "-m", "llama_cpp.server", *map(str, arguments), "--logits_all", "true"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/v1"
        wait_for(f"{address}/models", process, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).read()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(log.read_text())


def test_llama_cpp_server_log_probabilities_are_those_of_the_model(url, template, tmp_path_factory):
    """Against llama.cpp in this process, one prompt at a time."""
    asked = questions(template, 5)
    judge = ServerLM("tiny", url, top_logprobs=267)
    found = judge.log_probabilities(asked)
    path = tmp_path_factory.mktemp("same") / "tiny.gguf"
    write_tiny_model(path)
    model = llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_threads=1, verbose=False)
    for prompt, row in zip(asked.prompts, found, strict=True):
        model.reset()
        model.eval(model.tokenize(prompt.encode()))
        logits = torch.tensor([model._ctx.get_logits_ith(-1)[index] for index in range(model.n_vocab())])
        alone = logits[[len(SPECIAL) + ord(label) for label in LABELS]]  # "a", the byte, is the label of " a", too
        both = torch.logaddexp(logits[-len(LABELS) :], alone)
        assert torch.allclose(row, both.log_softmax(0), atol=1e-4)
    assert judge.missing_labels == 0 and 0 < judge.label_mass < 1
    assert judge.counts["tokens"] > sum(len(prompt) for prompt in asked.prompts)  # a token per byte, and one per answer
    model.close()


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_llama_cpp_server_answers_by_both_apis(url, catalogue, template, tmp_path, api):
    judge = ServerLM("tiny", url, api, invalid="none")
    oracle = Oracle(judge, JudgementCache(tmp_path / "cache.sqlite"), template, catalogue)
    judgement = oracle.judge(*items(6))
    assert oracle.asked == 6 and judge.endpoint.requests >= 6
    assert torch.allclose(judgement.log_probabilities.exp().sum(1), torch.ones(6), atol=1e-4)
    assert torch.equal(oracle.judge(*items(6)).choice, judgement.choice) and oracle.asked == 6


def test_llama_cpp_server_prompt_that_is_too_long_is_refused_in_the_servers_words(url, template):
    long = questions(template, 1)
    long.history[0] = ["word " * 600]
    with pytest.raises(UserError, match=r"Error code: 400 - .*context"):
        ServerLM("tiny", url).log_probabilities(long)
