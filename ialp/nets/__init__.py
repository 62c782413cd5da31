"""The networks: state encoder, actor and critic, and the simulated users' response."""

from ialp.nets.actor_critic import ActorCritic
from ialp.nets.sasrec import SASRec, at_length

__all__ = ["ActorCritic", "SASRec", "at_length"]
