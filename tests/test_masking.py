import torch

from ialp.masking import allowed_items, masked_log_softmax


def test_shown_items_and_padding_are_not_allowed():
    items = torch.tensor([[3, 1, 4, 0], [2, 5, 0, 0]])
    allowed = allowed_items(items, torch.tensor([2, 2]), width=6)
    # The first row's third item lies behind its length: it is the action, not yet shown.
    assert allowed.tolist() == [[False, False, True, False, True, True], [False, True, False, True, True, False]]


def test_repeats_leave_only_padding_out():
    allowed = allowed_items(torch.tensor([[3, 1]]), torch.tensor([2]), width=4, repeats=True)
    assert allowed.tolist() == [[False, True, True, True]]


def test_masked_items_have_no_probability_and_the_rest_sum_to_one():
    mask = torch.tensor([[False, True, True, False]])
    probabilities = masked_log_softmax(torch.tensor([[9.0, 0.0, 0.0, 9.0]]), mask).exp()
    assert torch.allclose(probabilities, torch.tensor([[0.0, 0.5, 0.5, 0.0]]))
