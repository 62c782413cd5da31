import json

import pytest
import torch

from ialp.envs import ExitRule, PatienceExit, World
from ialp.errors import UserError
from ialp.nets.response import SequentialResponse

HISTORY, LENGTH, FIRST = torch.tensor([[3, 4, 5, 0], [6, 0, 0, 0]]), torch.tensor([3, 1]), torch.tensor([1, 2])


class Impatient(ExitRule):
    """Leaves after so many steps."""

    def __init__(self, steps: int, *, mood: str = "bad") -> None:
        self.steps, self.mood = steps, mood

    def start(self, num_users, device):
        return torch.zeros(num_users, dtype=torch.int64, device=device)

    def advance(self, memory, step):
        return memory + 1, memory + 1 >= self.steps


class Wider(SequentialResponse):
    """Takes its parent's arguments besides its own."""

    def __init__(self, num_items: int, shift: float = 0.5, **kwargs) -> None:
        super().__init__(num_items, **kwargs)
        self.shift = shift


def rewrite(folder, change) -> None:
    """Changes the saved description."""
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@torch.no_grad()
def test_world_is_saved_and_loaded_from_the_run_or_the_folder_itself(net, tmp_path):
    net.intercept.fill_(-0.7)
    World(net, [Impatient(3, mood="good"), PatienceExit(5.0)], horizon=7, reward_scale=2.0).save(
        tmp_path / "world", "c0ffee"
    )
    for place in (tmp_path, tmp_path / "world"):
        read = World.load(place, "c0ffee")
        assert not read.response.training
        assert torch.equal(read.response(HISTORY, LENGTH), net.eval()(HISTORY, LENGTH))
        impatient, patient = read.exit_rules
        assert isinstance(impatient, Impatient) and (impatient.steps, impatient.mood) == (3, "good")
        assert isinstance(patient, PatienceExit) and (patient.patience, patient.scale) == (5.0, 2.0)
        assert (read.horizon, read.reward_scale) == (7, 2.0)


def test_world_env_applies_its_settings(net):
    env = World(net, [Impatient(2)], horizon=7, reward_scale=3.0).env(FIRST, 2, evaluation=True)
    p = net.score_item(env.items, env.length, torch.tensor([4, 4])).sigmoid()
    assert torch.allclose(env.step(torch.tensor([4, 4])).reward, 3 * p)
    assert env.step(torch.tensor([5, 5])).terminated.all()
    assert env.items.shape == (2, 9)


def test_world_loads_a_subclass_with_its_parents_arguments(tmp_path):
    World(Wider(20, shift=2.0, dim=8, layers=2)).save(tmp_path, "c0ffee")
    read = World.load(tmp_path).response
    assert isinstance(read, Wider) and read.shift == 2.0 and len(read.encoder.blocks.layers) == 2


def test_world_defaults_are_written_down_too(net):
    """Another version of the code may have others."""
    assert World(net).config["exit_rules"][0]["init_args"]["leave_below"] == 1.0


class TestRefused:
    def test_world_refuses_another_catalogue(self, net, tmp_path):
        World(net).save(tmp_path / "world", "c0ffee")
        with pytest.raises(UserError, match=r"another catalogue \(30 items"):
            World.load(tmp_path, "badcafe")

    def test_world_refuses_an_empty_folder(self, tmp_path):
        with pytest.raises(UserError, match="name a finished reward run"):
            World.load(tmp_path)

    @pytest.mark.parametrize(
        ("class_path", "said"),
        [
            ("nowhere.Rule", r"nowhere\.Rule cannot be imported"),
            ("ialp.envs.NoRule", "cannot be imported"),
            ("NoModule", "cannot be imported"),
            ("ialp.envs.World", r"ialp\.envs\.World is no ExitRule"),
            ("ialp.envs.MaxSteps", "does not take these arguments"),
        ],
    )
    def test_world_refuses_a_missing_rule(self, net, tmp_path, class_path, said):
        World(net, [Impatient(3)]).save(tmp_path, "c0ffee")
        rewrite(tmp_path, lambda config: config["exit_rules"][0].update(class_path=class_path))
        with pytest.raises(UserError, match=said) as error:
            World.load(tmp_path)
        assert str(error.value).startswith(f"{tmp_path}/config.json: ")

    def test_world_refuses_a_net_that_is_none(self, net, tmp_path):
        World(net).save(tmp_path, "c0ffee")
        rewrite(tmp_path, lambda config: config["response"].update(class_path="ialp.envs.PatienceExit"))
        with pytest.raises(UserError, match="PatienceExit is no ResponseNet"):
            World.load(tmp_path)

    def test_world_refuses_a_damaged_description(self, net, tmp_path):
        World(net).save(tmp_path, "c0ffee")
        rewrite(tmp_path, lambda config: config.pop("exit_rules"))
        with pytest.raises(UserError, match=r"config\.json: describes no world \(KeyError: 'exit_rules'\)"):
            World.load(tmp_path)

    def test_world_refuses_parts_that_could_not_be_saved(self, net):
        class Local(Impatient):
            pass

        with pytest.raises(UserError, match="Local cannot be saved"):
            World(net, [Local(3)])
        with pytest.raises(UserError, match=r"Impatient cannot be saved with a run: .*a Tensor cannot be written down"):
            World(net, [Impatient(torch.tensor(3))])

    def test_world_refuses_episodes_longer_than_the_net_reads(self, net):
        World(net, horizon=32)
        with pytest.raises(UserError, match="horizon 33: the response net reads 32 items"):
            World(net, horizon=33)
