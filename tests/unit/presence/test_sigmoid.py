import pytest
import torch
from scipy.special import expit
from torch import nn

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.encoders import ENCODERS
from lightning_dissect.presence import SIGMOID_CONSTANTS, SigmoidConstants, SigmoidPresence

CONSTANTS = SigmoidConstants(58.0, -0.13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 1.15])
def test_columns_follow_the_formula(dtype, temperature):
    cosines = (0.1 + 0.05 * torch.randn(20, 6, generator=torch.Generator().manual_seed(0))).to(dtype)
    presence = SigmoidPresence(cosines, CONSTANTS, temperature)
    expected = expit(58.0 * (cosines.double().numpy() / temperature - 0.13))
    torch.testing.assert_close(presence.columns(slice(None)), torch.from_numpy(expected), rtol=0, atol=1e-14)
    assert presence.shape == (20, 6)


def test_a_factored_matrix_gives_the_same():
    images, concepts = torch.randn(9, 3).double(), torch.randn(4, 3).double()
    presence = SigmoidPresence(ConceptMatrix(images, concepts), CONSTANTS)
    expected = SigmoidPresence(images @ concepts.T, CONSTANTS)
    torch.testing.assert_close(presence.columns(slice(None)), expected.columns(slice(None)))


def test_extremes_do_not_overflow():
    assert CONSTANTS.presence(torch.tensor([-1e6, 1e6])).tolist() == [0.0, 1.0]


def test_cosines_are_left_as_they_are():
    cosines = torch.tensor([0.1], dtype=torch.float64)
    CONSTANTS.presence(cosines)
    assert cosines.item() == 0.1


def test_constants_of_a_model_give_its_own_probabilities():
    model = nn.Module()
    model.logit_scale, model.logit_bias = nn.Parameter(torch.tensor([4.7])), nn.Parameter(torch.tensor(-16.5))
    cosines = torch.linspace(-0.1, 0.3, 7, dtype=torch.float64)
    own = (torch.tensor(4.7).double().exp() * cosines - 16.5).sigmoid()
    torch.testing.assert_close(SigmoidConstants.of_model(model).presence(cosines), own)


@pytest.mark.parametrize("bias", [None, torch.zeros(2)])
def test_models_without_a_bias_are_refused(bias):
    model = nn.Module()
    model.logit_scale, model.logit_bias = torch.tensor(1.0), bias
    with pytest.raises(ValueError, match=r"`model` to be of the SigLIP family.*calibrate"):
        SigmoidConstants.of_model(model)


@pytest.mark.parametrize(
    ("scale", "bias", "name"),
    [(0.0, 0.0, "scale"), (-1.0, 0.0, "scale"), (float("inf"), 0.0, "scale"), (1.0, float("nan"), "bias")],
)
def test_constants_out_of_range_are_refused(scale, bias, name):
    with pytest.raises(ValueError, match=f"Expected `{name}`"):
        SigmoidConstants(scale, bias)


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match="`temperature`"):
        SigmoidPresence(torch.zeros(2, 2), CONSTANTS, temperature=0.0)


def test_published_constants_name_registered_encoders():
    assert {name.partition(":")[0] for name in SIGMOID_CONSTANTS} <= set(ENCODERS)
    so400m = SIGMOID_CONSTANTS["hf_clip:google/siglip-so400m-patch14-384"]
    assert so400m.presence(torch.tensor(0.13, dtype=torch.float64)).item() == 0.5
    with pytest.raises(TypeError):
        SIGMOID_CONSTANTS["mine"] = CONSTANTS
