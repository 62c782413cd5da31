"""LLMOnline: the judge picks among the actor's candidates, in front of the users (section 6.3)."""

from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from ialp.data import Log
from ialp.data.text import text_embeddings
from ialp.distributed import sum_over_ranks
from ialp.errors import UserError
from ialp.oracle import Oracle, OracleConfig
from ialp.rl.candidates import CandidateSampler, FromPolicy
from ialp.rl.schemes.base import Scratch
from ialp.rng import stream
from ialp.types import History


class LLMOnline(Scratch):
    """Pre-training's loop, but users give the reward: π̂ proposes candidates, the judge picks, the user answers.

    The judge acts only while learning; evaluation is of π̂ alone. Where it answers None, a random candidate is shown, as
    in Algorithm 1. Exploration draws from a distribution with all its mass on the pick: `Greedy` and `Categorical` take
    it, `EpsilonGreedy` shows a random item in its place with probability ε.

    Args:
        oracle: the judge and how it is asked.
        sampler: which candidates the judge is shown.
        item_init: initial item embeddings and actor: `tfidf` of the items' text, or `random`.
    """

    samples_policy = False

    def __init__(
        self,
        oracle: OracleConfig,
        sampler: CandidateSampler | None = None,
        item_init: Literal["tfidf", "random"] = "tfidf",
    ) -> None:
        super().__init__()
        self.oracle_config, self.sampler, self.item_init = oracle, sampler or FromPolicy(), item_init
        self.oracle: Oracle
        self.judged = self.accepted = 0  # questions, and those that were not answered with None
        self.asked = self.hits = 0  # questions that the judge answered, and those from the cache, of all ranks

    @override
    def setup(self, log: Log, seed: int, rank: int, ranks: int) -> None:
        self.oracle = self.oracle_config.open(log)
        self.oracle.share(rank, ranks)
        self.sampler.setup(log, stream(seed, "candidates") + rank)
        if self.item_init == "tfidf":
            self.learner.start_from_text(text_embeddings(log.catalogue, self.learner.config["dim"], seed=seed))

    @override
    def behaviour(self, pi: Tensor, mask: Tensor, history: History) -> Tensor:
        """(B, I) all on the judge's pick, or on a random candidate where it picks none.

        Raises:
            UserError: Fewer items are left than candidates are shown.
        """
        if int(mask.sum(1).min()) < self.sampler.count:
            raise UserError(
                f"model.init_args.scheme.init_args.sampler: count is {self.sampler.count}: fewer items are left"
            )
        tiny = torch.finfo(pi.dtype).tiny  # however improbable, an allowed item may be a candidate
        log_pi = pi.clamp(min=tiny).log().masked_fill(~mask, -torch.inf)
        candidates = self.sampler.sample(log_pi, history)  # (B, K)
        judgement = self.oracle.judge(history.items, history.length, candidates)
        self.judged += len(history.length)
        self.accepted += int(judgement.accepted.sum())
        pick = candidates.gather(1, self.sampler.choose(judgement).unsqueeze(1))  # (B, 1)
        return torch.zeros_like(pi).scatter_(1, pick, 1.0)

    @override
    def on_environment_steps(self, environment_steps: int) -> dict[str, float]:
        counts = sum_over_ranks(self.accepted, self.judged, self.oracle.asked, self.oracle.hits)
        accepted, judged, self.asked, self.hits = (int(count) for count in counts)
        return {"acceptance": accepted / max(judged, 1), "judgements": float(judged), "asked": float(self.asked)}

    @override
    def rank_state_dict(self) -> dict[str, Any]:
        counts = {"judged": self.judged, "accepted": self.accepted, "oracle": self.oracle.state_dict()}
        return {"sampler": self.sampler.state_dict(), **counts}

    @override
    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state["sampler"])
        self.judged, self.accepted = state["judged"], state["accepted"]
        self.oracle.load_state_dict(state["oracle"])

    @override
    def results(self) -> dict[str, Any]:
        oracle = self.oracle
        asked = {"asked": self.asked, "cache_hits": self.hits, **oracle.backend.counts}
        return {"judgements": {**asked, "model": oracle.backend.name}}
