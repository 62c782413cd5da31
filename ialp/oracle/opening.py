"""The oracle of a log, by single arguments. Goes when OracleDataModule and LLMOnline take an OracleConfig."""

from typing import Any

from ialp.data.log import Log
from ialp.oracle.config import OracleConfig
from ialp.oracle.oracle import Judging, Oracle


def open_oracle(
    log: Log,
    judge: Any,
    adapter: str | None,
    judging: Judging,
    template: str | None,
    cache: str,
    budget: int | None,
) -> Oracle:
    """See OracleConfig.open."""
    return OracleConfig(judge, adapter, judging, template, cache, budget).open(log)
