import pytest
import torch

from ialp.errors import UserError
from ialp.nets import ActorCritic, SASRec, at_length
from ialp.types import History


def test_actor_critic_states_ignore_what_comes_after():
    torch.manual_seed(0)
    encoder = SASRec(20, dim=8, layers=2, heads=2, max_length=6).eval()
    short, long = encoder(torch.tensor([[3, 5, 0, 0]])), encoder(torch.tensor([[3, 5, 9, 11]]))
    assert torch.allclose(short[:, :2], long[:, :2], atol=1e-6)
    assert not torch.allclose(short[:, 2], long[:, 2])


def test_at_length_takes_the_last_item():
    hidden = torch.arange(24.0).reshape(2, 4, 3)
    assert torch.equal(at_length(hidden, torch.tensor([1, 4])), torch.stack([hidden[0, 0], hidden[1, 3]]))


def test_item_head_gather_equals_forward_at_the_items():
    policy = ActorCritic(20, dim=8, layers=1, heads=2, max_length=6)
    state = torch.randn(3, 8)
    item = torch.tensor([[1, 20], [4, 5], [6, 0]])
    everything = policy.critic(state)
    assert torch.allclose(policy.critic.gather(state, item), everything.gather(1, item), atol=1e-6)
    assert torch.allclose(
        policy.critic.gather(state, item[:, 0]), everything.gather(1, item[:, :1]).squeeze(1), atol=1e-6
    )


def test_actor_critic_started_from_text_prefers_similar_items():
    torch.manual_seed(0)
    policy = ActorCritic(6, dim=8, layers=1, heads=1, max_length=4)
    embeddings = torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 2, 2, 3, 3]), 8).float()
    embeddings[0] = 0
    policy.start_from_text(embeddings)
    logits = policy.actor(policy.state(History(torch.tensor([[1, 3]]), torch.tensor([2]))))
    assert logits[0, 4] > logits[0, [1, 2, 5, 6]].max()


def test_actor_critic_embeds_a_user_by_features():
    torch.manual_seed(0)
    policy = ActorCritic(6, dim=8, layers=1, heads=1, max_length=4, num_users=3, user_width=2)
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    policy.encoder.set_user_features(features)
    alone = policy.state(History(torch.tensor([[7, 0], [8, 0], [9, 0]]), torch.tensor([1, 1, 1])))
    assert torch.equal(alone[0], alone[2]) and not torch.allclose(alone[0], alone[1])
    alone[0, 0].backward()
    assert policy.encoder.user_embedding.weight.grad.abs().sum() > 0


def test_actor_critic_takes_new_users_and_refuses_other_features(tmp_path):
    policy = ActorCritic(6, dim=8, layers=1, heads=1, max_length=4, num_users=3, user_width=2)
    policy.encoder.set_user_features(torch.rand(5, 2))
    assert policy.state(History(torch.tensor([[11, 2]]), torch.tensor([2]))).shape == (1, 8)  # the fifth user
    with pytest.raises(UserError, match="4 features here, but this net was built for 2"):
        policy.encoder.set_user_features(torch.rand(5, 4))


def test_actor_critic_saves_user_features(tmp_path):
    policy = ActorCritic(6, dim=8, layers=1, heads=1, max_length=4, num_users=3, user_width=2)
    policy.encoder.set_user_features(torch.rand(3, 2))
    policy.save_pretrained(tmp_path, "f" * 64)
    again = ActorCritic.from_pretrained(tmp_path)
    history = History(torch.tensor([[8, 2]]), torch.tensor([2]))
    assert torch.equal(again.state(history), policy.state(history))


@pytest.mark.parametrize("q_temperature", [None, 0.5])
def test_actor_critic_divide_logits_divides_the_logits(q_temperature):
    policy = ActorCritic(num_items=5, dim=8, q_temperature=q_temperature)
    state = torch.randn(3, 8)
    before = policy.logits(state).detach()
    policy.divide_logits(0.25)
    assert torch.allclose(policy.logits(state), before * 4, atol=1e-6)
