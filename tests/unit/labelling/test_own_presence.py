import pytest
import torch

from lightning_dissect.labelling import OwnPresence
from lightning_dissect.presence import GivenPresence, SigmoidConstants
from lightning_dissect.probe import ConceptVocabulary, index_ids

VOCABULARY = ConceptVocabulary(("cat", "dog"))
VALUES = torch.tensor([[0.0, 0.25], [0.5, 0.75], [1.0, 0.125]])


def test_rows_are_found_by_sample_id_and_columns_by_name():
    given = GivenPresence(VALUES, ["dog", "cat"], sample_ids=torch.tensor([7, 3, 5]))
    found = OwnPresence(given, VOCABULARY).of_images(torch.tensor([3, 7]))
    assert found.columns(slice(None)).tolist() == [[0.75, 0.5], [0.25, 0.0]]


def test_columns_without_names_are_those_of_the_vocabulary():
    own = OwnPresence(GivenPresence(VALUES), VOCABULARY)
    assert own.of_images(torch.tensor([2])).columns(slice(None)).tolist() == [[1.0, 0.125]]
    with pytest.raises(ValueError, match="named concepts but got none"):
        OwnPresence(GivenPresence(VALUES), ConceptVocabulary(("cat", "dog", "cow")))


def test_a_file_is_read(tmp_path):
    file = tmp_path / "presence.csv"
    file.write_text("sample_id,dog,cat,cow\n4,1,0,0\n2,0,0.5,0\n")
    for spec in (file, str(file)):
        own = OwnPresence.resolve(spec, VOCABULARY)
        assert own.of_images(torch.tensor([2, 4])).columns(slice(None)).tolist() == [[0.5, 0.0], [0.0, 1.0]]
    with pytest.raises(FileNotFoundError):
        OwnPresence.resolve("nothing.npy", VOCABULARY)


@pytest.mark.parametrize("presence", ["softmax", "sigmoid", SigmoidConstants(1.0, 0.0)])
def test_an_encoders_presence_is_not_ones_own(presence):
    assert OwnPresence.resolve(presence, VOCABULARY) is None


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="got none of 1 of them, such as 'cow'"):
        OwnPresence(GivenPresence(VALUES, ["dog", "cat"]), ConceptVocabulary(("cat", "cow")))
    own = OwnPresence(GivenPresence(VALUES), VOCABULARY)
    own.check(torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"none for 2 of 3 images at hand, such as image 3 of dataloader 0.*`probe=`"):
        own.check(torch.tensor([0, 3, 4]))
    with pytest.raises(ValueError, match="image 0 of dataloader 1"):
        own.check(index_ids([0], dataloader_idx=1))
    with pytest.raises(ValueError, match="by their place in the dataset but got images in an order that is not known"):
        own.check(torch.tensor([2**62 + 5]))
