"""A causal LM with its tokenizer from a folder or the hub, and what identifies it."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ialp.errors import UserError
from ialp.oracle.builtin import MODEL_FOLDER

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BUILTIN = "builtin"
CONTENT = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt")  # what can change an answer, in a model's folder


def locate(model: str) -> str:
    """Where transformers finds the model: the built-in one's folder, or the path or hub name as given."""
    return str(MODEL_FOLDER) if model == BUILTIN else model


def load_tokenizer(model: str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """The tokenizer, padding from the left, so that the answer follows the last token of every row."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(locate(model), revision=revision, padding_side="left")
    except (OSError, ValueError) as error:
        raise UserError(f"judge {model}: no tokenizer loads from it ({first_line(error)})") from error


def load_model(
    model: str, revision: str | None, dtype: str, device: str, quantization: str = "none"
) -> "PreTrainedModel":
    """The weights in `dtype` on `device`, in evaluation mode; with nf4 those of the linear layers take 4 bits each."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    if model == BUILTIN or not sys.stderr.isatty():
        logging.disable_progress_bar()
    options: dict[str, Any] = {"revision": revision, "dtype": getattr(torch, dtype)}
    if quantization == "nf4":
        options |= {"quantization_config": _four_bits(dtype, device), "device_map": device}
    try:
        network: Any = AutoModelForCausalLM.from_pretrained(locate(model), **options)
    except (OSError, ValueError) as error:
        raise UserError(
            f"judge {model}: no causal language model loads from it ({first_line(error)}); "
            'name a folder, a model of the hub, or "builtin"'
        ) from error
    return (network if quantization == "nf4" else network.to(device)).eval()


def _four_bits(dtype: str, device: str) -> Any:
    """How bitsandbytes packs the weights: 4-bit normal floats, their scales quantised again, products in `dtype`."""
    from transformers import BitsAndBytesConfig

    if not device.startswith("cuda") or not torch.cuda.is_available():
        raise UserError(f"judge.quantization is nf4, which needs a GPU, and the device is {device}: set it to none")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("judge.quantization is nf4, which needs bitsandbytes: pip install 'ialp[quantize]'")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


def pick_device(device: str) -> str:
    """The device meant: for "auto" the GPU, where there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def identity(model: str, revision: str | None = None) -> str:
    """A hash that changes with the model: of the files of a folder, or of a hub name with its commit.

    Raises:
        UserError: The model cannot be found.
    """
    folder = Path(locate(model))
    if folder.is_dir():
        return hash_folder(folder)
    from transformers import AutoConfig

    try:
        commit = AutoConfig.from_pretrained(model, revision=revision)._commit_hash
    except (OSError, ValueError) as error:
        raise UserError(f"judge {model}: neither a folder nor a model of the hub ({first_line(error)})") from error
    return hashlib.sha256(f"{model}@{commit}".encode()).hexdigest()


def hash_folder(folder: Path) -> str:
    """SHA-256 (hex) of names and contents of a model's or an adapter's files."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in CONTENT for path in folder.rglob(pattern)}):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)
