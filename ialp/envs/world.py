"""World: the simulated users' response net and exit rules, saved by the reward model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from ialp.envs.batch_env import BatchEnv
from ialp.envs.exit_rules import ExitRule, PatienceExit
from ialp.errors import UserError
from ialp.nets.response import ResponseNet
from ialp.recorded import description, rebuild

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class World:
    """What all simulated users have in common, the first arguments of `BatchEnv`; `env` makes a number of them.

    Raises:
        UserError: A net or rule that could not be read back, or a net that cannot read so long an episode.
    """

    def __init__(
        self,
        response: ResponseNet,
        exit_rules: Sequence[ExitRule] | None = None,
        horizon: int = 20,
        reward_scale: float = 5.0,
    ) -> None:
        if horizon > response.max_length:
            raise UserError(f"horizon {horizon}: the response net reads {response.max_length} items; raise max_length")
        self.response = response
        self.exit_rules = [PatienceExit()] if exit_rules is None else list(exit_rules)
        self.horizon, self.reward_scale = horizon, reward_scale
        _ = self.config  # raises before anything is trained, if something could not be saved

    @property
    def config(self) -> dict[str, Any]:
        """What `load` rebuilds the world from, besides the weights."""
        return {
            "response": description(self.response),
            "exit_rules": [description(rule) for rule in self.exit_rules],
            "horizon": self.horizon,
            "reward_scale": self.reward_scale,
        }

    def env(self, first_items: Tensor, num_users: int, **kwargs: Any) -> BatchEnv:
        """B users of this world; `kwargs` as of `BatchEnv`."""
        return BatchEnv(
            self.response, first_items, num_users, self.exit_rules, self.horizon, self.reward_scale, **kwargs
        )

    def save(self, folder: Path, catalogue: str) -> None:
        """Writes config.json and model.safetensors; `catalogue` is the fingerprint of the items it was trained on."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.contiguous() for name, value in self.response.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        config = {**self.config, "catalogue": catalogue, "num_items": self.response.num_items}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def load(cls, run: str | Path, catalogue: str | None = None) -> "World":
        """Reads the world of a run's folder (its `world/`) or of the folder itself; its net is in eval mode."""
        folder = Path(run) / "world" if (Path(run) / "world").is_dir() else Path(run)
        if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
            raise UserError(f"{run}: no simulated users there (world/{CONFIG} is missing); name a finished reward run")
        try:
            config = json.loads((folder / CONFIG).read_text())
            if catalogue is not None and config["catalogue"] != catalogue:
                raise UserError(
                    f"these users were trained on another catalogue ({config['num_items']} items, fingerprint "
                    f"{config['catalogue'][:8]}, here {catalogue[:8]}); train a reward model on this data"
                )
            response = rebuild(config["response"], ResponseNet)  # type: ignore[type-abstract]
            rules = [rebuild(rule, ExitRule) for rule in config["exit_rules"]]  # type: ignore[type-abstract]
            world = cls(response, rules, config["horizon"], config["reward_scale"])
        except UserError as error:
            raise UserError(f"{folder / CONFIG}: {error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder / CONFIG}: describes no world ({type(error).__name__}: {error}); train its reward model again"
            ) from None
        response.load_state_dict(load_file(folder / WEIGHTS))
        response.eval()
        return world
