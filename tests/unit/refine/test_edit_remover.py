import pytest
import torch

pytest.importorskip("diffusers")

from lightning_dissect.refine.ablation import ConceptRemover
from lightning_dissect.refine.edit_remover import EditRemover
from lightning_dissect.refine.retrieval import RetrievalGenerator
from tests.helpers.tiny_diffusion import save_editor, save_painter


class Photos:
    """Noise in the size that is asked for."""

    def __init__(self, height=24, width=40):
        self.shape = (3, height, width)

    def generate(self, concept, count, purpose):
        generator = torch.Generator().manual_seed(len(concept) + 1000 * (purpose == "judging"))
        return torch.randint(256, (count, *self.shape), dtype=torch.uint8, generator=generator)

    def fingerprint(self):
        return f"photos {self.shape}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save_editor(tmp_path_factory.mktemp("editor")))


def editor(folder, images=None, **settings):
    return EditRemover(folder, images or Photos(), **{"steps": 2, "size": 16, **settings})


def sides(removed):
    return [side for pairs in (removed.concept, removed.control) for side in (pairs.with_, pairs.without)]


def test_an_image_is_compared_with_what_the_editor_makes_of_it(folder):
    remover = editor(folder)
    assert isinstance(remover, ConceptRemover)
    original, gone, again, other = sides(remover.remove("dog", 3))
    assert original.shape == gone.shape == other.shape == (3, 3, 16, 16)
    assert torch.equal(original, again)
    photos = Photos().generate("dog", 3, "judging")
    assert torch.equal(editor(folder, size=24)._fitted(photos), photos[..., 8:32])
    for one, two in ((original, gone), (original, other), (gone, other)):
        assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_edits_depend_on_concept_and_seed_alone(folder):
    first, second = editor(folder).remove("dog", 2), editor(folder, batch_size=2).remove("dog", 2)
    for one, two in zip(sides(first), sides(second), strict=True):
        assert (one.int() - two.int()).abs().max() <= 1
    assert not torch.equal(sides(first)[1], sides(editor(folder, seed=1).remove("dog", 2))[1])


def test_control_edits_remove_something_drawn_for_each_image(folder):
    remover = editor(folder, instruction="without {}", other_things=("sky", "sea"))
    prompts = []
    draw = remover.model.draw
    remover.model.draw = lambda drawings, *args, **settings: (
        prompts.append([drawing.prompt for drawing in drawings]) or draw(drawings, *args, **settings)
    )
    remover.remove("dog, big/BIG", 12)
    assert prompts[0] == ["without dog, big/BIG"] * 12
    assert set(prompts[1]) == {"without sky", "without sea"}


def test_an_image_of_which_an_edit_stays_black_is_left_out(folder):
    remover = editor(folder)
    draw = remover.model.draw
    remover.model.draw = lambda drawings, *args, **settings: [
        None if "dog" in drawing.prompt and place % 2 else image
        for place, (drawing, image) in enumerate(zip(drawings, draw(drawings, *args, **settings), strict=True))
    ]
    assert len(remover.remove("dog", 3).concept) == 2
    remover.model.draw = lambda drawings, *args, **settings: [None] * len(drawings)
    nothing = remover.remove("dog", 3)
    assert len(nothing.concept) == len(nothing.control) == 0


def test_a_model_that_edits_no_images_is_refused(folder, tmp_path):
    painter = str(save_painter(tmp_path / "painter"))
    with pytest.raises(ValueError, match=r"takes image, image_guidance_scale but got .*, a StableDiffusionPipeline"):
        editor(painter).remove("dog", 1)


def test_surroundings_are_shown_to_what_finds_images(folder, surroundings):
    remover = editor(folder, images=RetrievalGenerator())
    remover.enter(surroundings)
    assert len(remover.remove("red", 3).concept) == 3
    editor(folder).enter(surroundings)


def test_the_fingerprint_knows_editor_images_and_settings(folder):
    settings = [
        {}, {"instruction": "no {}"}, {"other_things": ("sky",)}, {"steps": 3}, {"guidance": 1.0}, {"seed": 2},
        {"image_guidance": None}, {"size": 32}, {"images": Photos(8, 8)},
    ]  # fmt: skip
    assert len({editor(folder, **chosen).fingerprint() for chosen in settings}) == len(settings)
    remover = editor(folder, batch_size=3)
    assert remover.fingerprint() == editor(folder).fingerprint()
    remover.release()
    assert remover.model._pipeline is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"instruction": "remove"}, "`instruction`"),
        ({"other_things": ()}, "`other_things`"),
        ({"other_things": "sky"}, "`other_things`"),
        ({"steps": 0}, "`steps`"),
        ({"size": 0}, "`size`"),
        ({"batch_size": 0}, "`batch_size`"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        editor("some/model", **settings)
