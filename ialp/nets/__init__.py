"""The networks: state encoder, actor and critic, and the simulated users' response."""

from ialp.nets.actor_critic import ActorCritic, NetConfig
from ialp.nets.deepfm import DeepFM
from ialp.nets.rating import RatingNet
from ialp.nets.sasrec import SASRec, at_length

__all__ = ["ActorCritic", "DeepFM", "NetConfig", "RatingNet", "SASRec", "at_length"]
