"""The built-in judge: a small language model that matches texts, and the recipe that made it."""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
