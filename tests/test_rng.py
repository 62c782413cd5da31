import torch

from ialp.rng import stream, uniforms


def test_rows_do_not_depend_on_who_stands_beside_them():
    user = torch.arange(50)
    episode, step = user * 3, user % 7
    together = uniforms(5, user, episode, step, 2)
    alone = torch.cat([uniforms(5, user[i : i + 1], episode[i : i + 1], step[i : i + 1], 2) for i in range(50)])
    assert torch.equal(together, alone)


def test_numbers_are_uniform_and_independent():
    user = torch.arange(100_000)
    zero = torch.zeros_like(user)
    x = uniforms(0, user, zero, zero, 2)
    assert float(x.min()) >= 0 and float(x.max()) < 1
    assert torch.allclose(x.mean(0), torch.tensor(0.5), atol=0.005)
    assert torch.allclose(x.var(0) * 12, torch.tensor(1.0), atol=0.02)
    assert abs(float(torch.corrcoef(x.T)[0, 1])) < 0.01


def test_each_counter_and_the_seed_matter():
    one = torch.ones(1, dtype=torch.int64)
    base = uniforms(0, one, one, one)
    others = [uniforms(1, one, one, one), uniforms(0, one + 1, one, one), uniforms(0, one, one + 1, one)]
    others += [uniforms(0, one, one, one + 1), uniforms(stream(0, "a"), one, one, one)]
    assert all(not torch.equal(base, other) for other in others)


def test_streams_differ_by_name_and_seed():
    assert len({stream(0, "a"), stream(0, "b"), stream(1, "a"), stream(1, "b")}) == 4
