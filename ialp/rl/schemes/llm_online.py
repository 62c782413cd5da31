"""LLMOnline: the judge picks among the actor's candidates, in front of the users (section 6.3)."""

from typing import Any, Literal

import torch
from torch import Tensor

from ialp.data import Log
from ialp.data.text import text_embeddings
from ialp.distributed import sum_over_ranks
from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.oracle import Judging, Oracle, check_judge, open_oracle
from ialp.rl.candidates import CandidateSampler, FromPolicy
from ialp.rl.schemes.base import Scheme
from ialp.rng import stream


class LLMOnline(Scheme):
    """Pre-training's loop, but users give the reward: π̂ proposes candidates, the judge picks, the user answers.

    The judge acts only while learning; what is measured is π̂ alone. Where it says None, a random candidate is shown, as
    in Algorithm 1. Exploration has the last word: `Greedy` and `Categorical` take the pick, `EpsilonGreedy` shows a
    random item in its place with probability ε.

    Args:
        judge: the model that judges, as class_path and init_args, or an instance.
        oracle: folder of a finished oracle run, whose adapter the judge takes; null judges untuned.
        judging: how answers become picks.
        sampler: which candidates the judge is shown.
        candidates: K, the items to choose from.
        neighbours: text neighbours per item that the sampler may draw from.
        item_init: what item embeddings and actor start from: `tfidf` of the items' text, or `random`.
        template: a prompt template file of one's own.
        cache: file of the judgement cache.
        budget: questions that the model may be asked at most, by all ranks together, each of which has an equal share;
            cached answers are not counted; null for no limit.
    """

    needs_pretrained = False
    samples_policy = False

    def __init__(
        self,
        judge: Any,
        oracle: str | None = None,
        judging: Judging | None = None,
        sampler: CandidateSampler | None = None,
        candidates: int = 10,
        neighbours: int = 20,
        item_init: Literal["tfidf", "random"] = "random",
        template: str | None = None,
        cache: str = "runs/judgements.sqlite",
        budget: int | None = None,
    ) -> None:
        super().__init__()
        check_judge(judge)
        self.judge, self.oracle_run, self.judging = judge, oracle, judging or Judging()
        self.sampler, self.candidates, self.neighbours = sampler or FromPolicy(), candidates, neighbours
        self.item_init, self.template, self.cache, self.budget = item_init, template, cache, budget
        self.oracle: Oracle
        self.generator: torch.Generator
        self.judged = self.accepted = 0  # questions, and those that were not answered with None
        self.asked = self.hits = 0  # questions that the judge answered, and those that it did not have to, of all ranks

    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """φ is the fresh policy."""
        assert fresh is not None
        self.learner = fresh

    def meet(self, log: Log, seed: int, rank: int, ranks: int = 1) -> None:
        """Opens judge and cache."""
        judge = self.judge, self.oracle_run, self.judging
        self.oracle = open_oracle(log, *judge, self.template, self.cache, self.budget)
        self.oracle.share(rank, ranks)
        self.sampler.prepare(log.neighbours(self.neighbours), log.train.popularity(log.catalogue.num_items))
        self.generator = torch.Generator().manual_seed(stream(seed, "candidates") + rank)
        if self.item_init == "tfidf":
            self.learner.start_from_text(text_embeddings(log.catalogue, self.learner.config["dim"], seed=seed))

    def behaviour(self, probabilities: Tensor, allowed: Tensor, items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        """(B, I) all on the judge's pick, or on a random candidate where it picks none.

        Raises:
            UserError: Fewer items are left than candidates are shown.
        """
        if int(allowed.sum(1).min()) < self.candidates:
            raise UserError(f"model.init_args.scheme.init_args.candidates is {self.candidates}: fewer items are left")
        tiny = torch.finfo(probabilities.dtype).tiny  # however improbable, an allowed item may be a candidate
        log_pi = probabilities.clamp(min=tiny).log().masked_fill(~allowed, -torch.inf)
        candidates = self.sampler.sample(log_pi, items, length, self.candidates, self.generator)  # (B, K)
        judgement = self.oracle.judge(items, length, candidates)
        random_pick = torch.randint(self.candidates, length.shape, generator=self.generator)
        pick = torch.where(judgement.accepted, judgement.choice, random_pick)
        self.judged += len(length)
        self.accepted += int(judgement.accepted.sum())
        return torch.zeros_like(probabilities).scatter_(1, candidates.gather(1, pick.unsqueeze(1)), 1.0)

    def advance(self, environment_steps: int) -> dict[str, float]:
        """How often the judge picked, and what was asked."""
        counts = sum_over_ranks(self.accepted, self.judged, self.oracle.asked, self.oracle.hits)
        accepted, judged, self.asked, self.hits = (int(count) for count in counts)
        return {"acceptance": accepted / max(judged, 1), "judgements": float(judged), "asked": float(self.asked)}

    def local_state(self) -> dict[str, Any]:
        """The generator of the candidates, and the counts."""
        counts = {"judged": self.judged, "accepted": self.accepted, "oracle": self.oracle.state_dict()}
        return {"generator": self.generator.get_state(), **counts}

    def load_local_state(self, state: dict[str, Any]) -> None:
        """Goes on drawing and counting."""
        self.generator.set_state(state["generator"].cpu())
        self.judged, self.accepted = state["judged"], state["accepted"]
        self.oracle.load_state_dict(state["oracle"])

    def results(self) -> dict[str, Any]:
        """The judge, and what it was asked; answers from the cache cost next to no time."""
        oracle = self.oracle
        asked = {"asked": self.asked, "cache_hits": self.hits, **oracle.backend.counts}
        return {"judgements": {**asked, "model": oracle.backend.name}}
