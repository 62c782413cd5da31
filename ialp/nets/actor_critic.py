"""State encoder, actor and critic: the agent of Eq. 5 and 7."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import override

from ialp.errors import UserError
from ialp.nets.sasrec import SASRec, at_length
from ialp.recorded import Recorded
from ialp.types import History, Transition


@dataclass
class NetConfig:
    """Sizes of a policy's network.

    Attributes:
        dim: Width D of states and embeddings.
        layers: Transformer blocks of the encoder.
        heads: Attention heads per block.
        dropout: In the encoder.
    """

    dim: int = 128
    layers: int = 1
    heads: int = 2
    dropout: float = 0.0


class ItemHead(nn.Module):
    """Linear layer with one output per item: (B, D) states → (B, I)."""

    def __init__(self, width: int, dim: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, dim) * std)
        self.bias = nn.Parameter(torch.zeros(width))

    @override
    def forward(self, state: Tensor) -> Tensor:
        return nn.functional.linear(state, self.weight, self.bias)

    def gather(self, state: Tensor, item: Tensor) -> Tensor:
        """The entries of `forward` at item (B,) or (B, K), without computing the others: same shape as `item`."""
        weight, bias = self.weight[item], self.bias[item]
        return torch.einsum("b...d,bd->b...", weight, state) + bias


class ActorCritic(Recorded, nn.Module):
    """State encoder (`SASRec`, whose sizes these are), an actor head (logits of all items) and a critic head (Q).

    With `q_temperature`, the policy is the softmax of Q / q_temperature instead of the actor's. `config` has the
    arguments that build such a net again.
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        max_length: int = 32,
        dropout: float = 0.0,
        num_users: int = 0,
        user_width: int = 0,
        q_temperature: float | None = None,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(self.init_args)
        self.encoder = SASRec(num_items, dim, layers, heads, max_length, dropout, num_users, user_width)
        # Small heads: the first policy is close to uniform, the first Q close to zero.
        self.actor = ItemHead(num_items + 1, dim, std=0.1 * dim**-0.5)
        self.critic = ItemHead(num_items + 1, dim, std=0.1 * dim**-0.5)

    @property
    def num_items(self) -> int:
        """N, without the padding id."""
        return int(self.config["num_items"])

    @property
    def q_temperature(self) -> float | None:
        """Temperature of a policy that is the softmax of Q; None where the actor is the policy."""
        return self.config["q_temperature"]

    @property
    def policy_head(self) -> tuple[ItemHead, float]:
        """The head whose output, divided by the temperature, are the policy's logits."""
        return (self.actor, 1.0) if self.q_temperature is None else (self.critic, self.q_temperature)

    def act_by_q(self, temperature: float) -> None:
        """Makes the softmax of Q / temperature the policy."""
        self.config["q_temperature"] = temperature

    def divide_logits(self, temperature: float) -> None:
        """Divides the logits by a temperature, in the weights."""
        if self.q_temperature is not None:
            self.config["q_temperature"] = self.q_temperature * temperature
            return
        with torch.no_grad():
            self.actor.weight.div_(temperature)
            self.actor.bias.div_(temperature)

    def logits(self, state: Tensor) -> Tensor:
        """(B, D) → (B, I) logits of the policy."""
        return self.actor(state) if self.q_temperature is None else self.critic(state) / self.q_temperature

    def state(self, history: History) -> Tensor:
        """(B, D) states s_t = G(x_1 … x_t) of B histories (Eq. 4)."""
        longest = int(history.length.max())
        return at_length(self.encoder(history.items[:, :longest]), history.length, history.row)

    def states(self, batch: Transition) -> tuple[Tensor, Tensor]:
        """(B, D) states s_t and (B, D) next states s_{t+1} of B transitions, in one causal pass."""
        hidden = self.encoder(batch.items)  # (B, T, D), or (E, T, D)
        return at_length(hidden, batch.length, batch.row), at_length(hidden, batch.length + 1, batch.row)

    def start_from_text(self, embeddings: Tensor, temperature: float = 1.0) -> None:
        """Initialises item embeddings and actor from text, so that the first policy prefers items similar to the last.

        The blocks' outputs start at zero, so that each block is the identity and adds no random weights to the text.

        Args:
            embeddings: (I, D), rows of unit length, row 0 zero.
            temperature: Divides the actor's rows; the first logits lie within ± sqrt(D) / temperature.
        """
        with torch.no_grad():
            self.encoder.item_embedding.weight.copy_(embeddings)
            self.actor.weight.copy_(embeddings / temperature)
            for block in self.encoder.blocks.layers:
                block.self_attn.out_proj.weight.zero_()
                block.linear2.weight.zero_()
                block.linear2.bias.zero_()

    def save_pretrained(self, folder: Path, catalogue: str) -> None:
        """Writes config.json and model.safetensors; `catalogue` is the fingerprint of the items it was trained on."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / "model.safetensors")
        config = {"net": self.config, "catalogue": catalogue}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, run: str | Path, catalogue: str | None = None) -> "ActorCritic":
        """Reads a policy from a run's folder (its `policy/`) or from the folder itself.

        Raises:
            UserError: There is no policy, or it is one of another catalogue.
        """
        folder = Path(run) / "policy" if (Path(run) / "policy").is_dir() else Path(run)
        if not (folder / "config.json").is_file():
            raise UserError(f"{run}: no policy there (policy/config.json is missing); name a finished pretrain run")
        config = json.loads((folder / "config.json").read_text())
        if catalogue is not None and config["catalogue"] != catalogue:
            raise UserError(
                f"{folder}: this policy was trained on another catalogue ({config['net']['num_items']} items, "
                f"fingerprint {config['catalogue'][:8]}, here {catalogue[:8]}); pre-train one on this data"
            )
        policy = cls(**config["net"])
        policy.load_state_dict(load_file(folder / "model.safetensors"))
        return policy
