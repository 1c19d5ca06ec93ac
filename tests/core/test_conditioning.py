import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_pix2pix.core.conditioning import condition_planes, noise_planes, stack_planes


@given(
    classes=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
)
def test_one_plane_a_class(classes, height, width):
    planes = condition_planes(torch.tensor(classes), 5, height, width)
    assert planes.shape == (len(classes), 5, height, width)
    assert planes.dtype == torch.float32
    assert torch.equal(planes.sum(1), torch.ones(len(classes), height, width))
    assert torch.equal(planes.argmax(1)[:, -1, -1], torch.tensor(classes))


def test_no_class_is_planes_of_zero():
    assert not condition_planes(torch.tensor([-1, 3]), 3, 2, 2).any()


def test_noise_is_constant_over_a_plane():
    vectors = torch.randn(2, 3)
    planes = noise_planes(vectors, 4, 5)
    assert planes.shape == (2, 3, 4, 5)
    assert torch.equal(planes[:, :, 3, 2], vectors)
    assert torch.equal(planes.amin((2, 3)), planes.amax((2, 3)))


def test_stack_keeps_the_order_and_leaves_out_none():
    source, noise = torch.zeros(1, 2, 3, 3), torch.ones(1, 1, 3, 3)
    assert stack_planes(source, None, noise)[0, :, 0, 0].tolist() == [0, 0, 1]
    assert stack_planes(None, noise, source)[0, :, 0, 0].tolist() == [1, 0, 0]
    assert torch.equal(stack_planes(None, source), source)


def test_unusable_arguments_are_refused_in_words():
    plane = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="no planes to stack; give a source"):
        stack_planes(None)
    with pytest.raises(ValueError, match=r"\(1, 1, 4, 4\), \(1, 1, 4, 5\) can't be stacked"):
        stack_planes(plane, torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match="give a vector of integers"):
        condition_planes(torch.zeros(2), 2, 4, 4)
    with pytest.raises(ValueError, match="count is 0"):
        condition_planes(torch.tensor([0]), 0, 4, 4)
    with pytest.raises(ValueError, match="give one vector a batch item"):
        noise_planes(torch.zeros(3), 4, 4)
