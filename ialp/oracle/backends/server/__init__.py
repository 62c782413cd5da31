"""A judge behind an OpenAI-compatible server: its requests, their limits, and how replies are read."""

from ialp.oracle.backends.server.judge import ServerLM
from ialp.oracle.backends.server.settings import Limits, RequestOptions

__all__ = ["Limits", "RequestOptions", "ServerLM"]
