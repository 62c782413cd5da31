"""A training on whole episodes for test_online_episodes, in a module that a new process can import."""

from ialp.datamodules import OnPolicyDataModule
from ialp.phases import OnlineEpisodes
from ialp.rl import A2C
from ialp.rl.schemes import FineTune
from tests.helpers.parallel_runs import NET, WithSGD


class Adapt(WithSGD, OnlineEpisodes):
    pass


def episodes(source, reward_run, pretrained, folder):
    """Minibatches of unequal sizes: users leave when they like."""
    module = Adapt(FineTune(), A2C(trace=0.9), pretrained=pretrained, net=NET)
    return module, OnPolicyDataModule(source, reward_run, users=6, rollouts_per_epoch=25, minibatches=1, test_users=11)
