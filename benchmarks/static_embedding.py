"""A small real embedding model without a hub: the static word vectors that the package `wordllama` carries.

    pip download --no-deps --dest /tmp/wordllama wordllama && unzip -o -d /tmp/wordllama /tmp/wordllama/*.whl
    python benchmarks/static_embedding.py /tmp/wordllama/wordllama models/wordllama
    ialp fit --config configs/lfm_oracle.yaml --judge ialp.oracle.EmbeddingOracle \
        --judge.init_args.model models/wordllama

Writes a folder that sentence-transformers, and so `EmbeddingOracle`, loads.
"""

import argparse
from pathlib import Path


def main() -> None:
    """Turn the wheel's weights and tokenizer into a model's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="folder `wordllama` of the unpacked wheel")
    parser.add_argument("out", help="folder of the model")
    given = parser.parse_args()

    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    weights = next(iter(load_file(next(given.package.glob("weights/*.safetensors"))).values())).float()
    tokenizer = Tokenizer.from_file(str(next(given.package.glob("tokenizers/*.json"))))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights.numpy())]).save(given.out)
    print(f"{given.out}: {weights.shape[0]:,} tokens, {weights.shape[1]} wide")


if __name__ == "__main__":
    main()
