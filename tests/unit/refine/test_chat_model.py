import pytest

from lightning_dissect.refine.chat_model import check_sampling


@pytest.mark.parametrize(("temperature", "top_p"), [(0, 1), (0.5, 0.9), (3.0, 1e-9)])
def test_ways_to_draw(temperature, top_p):
    check_sampling(temperature, top_p)


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf")])
def test_temperatures_out_of_range(temperature):
    with pytest.raises(ValueError, match="Expected `temperature` to be 0 or a number above it but got"):
        check_sampling(temperature, 0.9)


@pytest.mark.parametrize("top_p", [0, 1.1, float("nan")])
def test_nuclei_out_of_range(top_p):
    with pytest.raises(ValueError, match="Expected `top_p` to be above 0 and at most 1 but got"):
        check_sampling(0.5, top_p)
