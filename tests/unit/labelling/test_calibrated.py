import pytest
import torch
from torch.utils.data import DataLoader

from lightning_dissect.labelling import calibrate_encoder
from lightning_dissect.presence import SigmoidConstants, calibrate
from lightning_dissect.probe import ConceptVocabulary, annotation_presence
from tests.helpers.colours import COLOURS, ColourDataset, ColourEncoder

NAMES = ConceptVocabulary(tuple(COLOURS))


class Doubtful(ColourEncoder):
    """Multiplies its cosines, and takes some colours for others, so that they do not part entirely."""

    temperature = 10.0

    def encode_images(self, images):
        noise = torch.sin(torch.arange(3.0 * len(images))).reshape(-1, 3)
        return torch.nn.functional.normalize(super().encode_images(images) + noise, dim=-1)


@pytest.mark.parametrize("before", [None, SigmoidConstants(1.0, 0.0)])
def test_it_is_the_calibration_of_the_encoders_cosines(before):
    data, encoder = ColourDataset(), Doubtful()
    found = calibrate_encoder(DataLoader(data, batch_size=24), list(COLOURS), encoder, before=before, cache=False)
    images = torch.stack(list(data.images))
    cosines = encoder.encode_images((images * 255).round().to(torch.uint8)) @ encoder.encode_texts(list(COLOURS)).T
    compared = before or SigmoidConstants(58.0, -0.25)
    expected = calibrate(cosines, annotation_presence(data.classes, NAMES), compared)
    assert found.constants.scale == pytest.approx(expected.constants.scale, rel=1e-4)
    assert found.constants.bias == pytest.approx(expected.constants.bias, rel=1e-4)
    assert found.before.log_loss == pytest.approx(expected.before.log_loss, rel=1e-4)
    assert found.after.log_loss < found.before.log_loss
