"""A tiny catalogue, and a tiny language model with random weights saved to a folder."""

from pathlib import Path

import pytest
import torch

from ialp.data import Catalogue
from ialp.oracle import PromptTemplate

COLOURS = ["red", "green", "blue", "grey", "black", "white", "pink", "gold"]
THINGS = ["river", "house", "road", "song", "night", "stone"]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """48 tracks; the artist goes with the colour of the title."""
    titles = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    artists = [f"the {colour} band" for colour in COLOURS for _ in THINGS]
    return Catalogue([f"t{i}" for i in range(len(titles))], {"title": titles, "artist": artists})


@pytest.fixture(scope="session")
def template() -> PromptTemplate:
    return PromptTemplate("music", "track", "listening", ["title", "artist"], max_history=4)


def save_tiny_model(folder: Path, texts: list[str], seed: int = 0, **config: int) -> str:
    """A random two-layer Mistral with a byte-level BPE tokenizer that knows the texts' words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    labels = [f" {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] * 2
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, special_tokens=["<pad>"])
    tokenizer.train_from_iterator([*texts, *labels], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "max_position_embeddings": 2048, "initializer_range": 0.3}
    MistralForCausalLM(MistralConfig(vocab_size=len(fast), **(sizes | config))).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue, template: PromptTemplate) -> str:
    """Folder of a model that reads and answers, though at random."""
    texts = [*catalogue.texts, template.render(catalogue.texts[1:5], catalogue.texts[5:15])]
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), texts)
