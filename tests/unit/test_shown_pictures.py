import numpy as np

from lightning_dissect.distributed import in_step
from lightning_dissect.shown_pictures import ShownPictures
from lightning_dissect.types import LayerDissection, NeuronLabel, TopImage


def test_every_picture_that_is_read_again_has_room():
    """They get smaller rather than that one is missing."""
    pictures = ShownPictures(num_top_images=5, budget=3 * 32 * 32 * 3)
    pictures.start(keep=False, image_reader=lambda sample_id: np.full((32, 32, 3), sample_id, dtype=np.uint8))
    shown = tuple(TopImage(sample_id, 1.0) for sample_id in range(5))
    with in_step("collecting") as peers:
        found = pictures.collect(peers, [LayerDissection("fc", (NeuronLabel("fc", 0, "labelled", (), shown),))])
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert all((picture == sample_id).all() for sample_id, picture in found.items())
    assert sum(picture.nbytes for picture in found.values()) <= 3 * 32 * 32 * 3
