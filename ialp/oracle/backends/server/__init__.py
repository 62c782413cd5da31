"""A judge behind an OpenAI-compatible server: its requests, their limits, and how replies are read."""

from ialp.oracle.backends.server.judge import ServerLM

__all__ = ["ServerLM"]
