import copy
import inspect
import random

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")

from lightning_dissect.refine.base import GENERATORS, ImageGenerator, NoImageError
from lightning_dissect.refine.diffusion import VIEWS, DiffusionGenerator, usual_sampling
from tests.helpers.tiny_diffusion import SIDE, save_painter

CONCEPTS = ("dog", "red, GREEN/blue", 'say "cheese" {}', "Ünïcödé 犬", "word " * 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save_painter(tmp_path_factory.mktemp("painter")))


@pytest.fixture(scope="module")
def painter(folder):
    return DiffusionGenerator(folder, steps=2, guidance=0.0)


class Censor(torch.nn.Module):
    """A safety checker that blackens images in its first calls."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, images, clip_input):
        self.calls -= 1
        return (torch.zeros_like(images) if self.calls >= 0 else images), [self.calls >= 0] * len(images)


def censored(folder, calls, **settings):
    from transformers import CLIPImageProcessor

    generator = DiffusionGenerator(folder, steps=1, guidance=0.0, **settings)
    generator.model.pipeline.safety_checker = Censor(calls)
    generator.model.pipeline.feature_extractor = CLIPImageProcessor(size=SIDE, crop_size=SIDE)
    return generator


@pytest.mark.parametrize(
    ("model", "steps", "guidance"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", 25, 5.0),
        ("stabilityai/sdxl-turbo", 4, 0.0),
        ("stabilityai/sd-turbo", 4, 0.0),
        ("/models/SDXL-Turbo/", 4, 0.0),
        ("black-forest-labs/FLUX.1-schnell", 4, 0.0),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", 25, 7.5),
        ("turbo/other", 25, 7.5),
    ],
)
def test_models_are_sampled_as_their_authors_do(model, steps, guidance):
    assert (usual_sampling(model).steps, usual_sampling(model).guidance) == (steps, guidance)
    assert DiffusionGenerator(model).sampling == usual_sampling(model)
    assert DiffusionGenerator(model, steps=7, guidance=1.5).sampling == type(usual_sampling(model))(7, 1.5)


def test_it_is_found_by_name_and_loads_nothing_before_it_is_asked():
    generator = GENERATORS.resolve("diffusion:some/model")
    assert isinstance(generator, DiffusionGenerator)
    assert isinstance(generator, ImageGenerator)
    assert generator.model._pipeline is None


@pytest.mark.parametrize("concept", CONCEPTS)
def test_any_concept_gives_images(painter, concept):
    images = painter.generate(concept, 2, "search")
    assert images.shape == (2, 3, SIDE, SIDE)
    assert images.dtype == torch.uint8
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("concept", CONCEPTS)
def test_prompts_hold_the_concept_as_it_is_and_a_view_per_image(painter, concept):
    prompts = [painter.prompt(concept, number, "search") for number in range(60)]
    assert all(prompt.startswith(f"a photo of {concept}, ") for prompt in prompts)
    assert {prompt.removeprefix(f"a photo of {concept}, ") for prompt in prompts} > {
        f"{VIEWS[0][0]}, {VIEWS[1][1]}", f"{VIEWS[0][3]}, {VIEWS[1][0]}",
    }  # fmt: skip


def test_without_views_a_prompt_is_its_template(folder):
    assert DiffusionGenerator(folder, template="{}!", views=()).prompt("dog", 0, "search") == "dog!"


def test_images_depend_on_nothing_but_concept_number_purpose_and_seed(folder, painter):
    five = painter.generate("dog", 5, "search")
    painter.generate("cat", 3, "judging")
    assert torch.equal(painter.generate("dog", 3, "search"), five[:3])
    batched = DiffusionGenerator(folder, steps=2, guidance=0.0, batch_size=4).generate("dog", 5, "search")
    assert (batched.int() - five.int()).abs().max() <= 1
    others = [painter.generate("dog", 5, "judging"), painter.generate("cat", 5, "search")]
    others.append(DiffusionGenerator(folder, steps=2, guidance=0.0, seed=1).generate("dog", 5, "search"))
    assert not any(torch.equal(one, two) for other in others for one in other for two in five)


def test_latents_of_a_batch_are_those_of_each_image_alone(folder):
    seen = {}
    for size in (1, 4):
        generator = DiffusionGenerator(folder, steps=1, guidance=0.0, batch_size=size)
        unet, latents = generator.model.pipeline.unet, []
        unet.register_forward_pre_hook(lambda _, args, kept=latents: kept.append(args[0].clone()))
        generator.generate("dog", 4, "search")
        seen[size] = torch.cat(latents)
    assert torch.equal(seen[1], seen[4])


def test_guidance_steps_and_size_reach_the_call(folder, monkeypatch):
    generator = DiffusionGenerator(folder, steps=3, guidance=4.5, size=32)
    kind, calls = type(generator.model.pipeline), []
    original = kind.__call__

    def spy(self, *args, **settings):
        calls.append(settings)
        return original(self, *args, **settings)

    spy.__signature__ = inspect.signature(original)
    monkeypatch.setattr(kind, "__call__", spy)
    assert generator.generate("dog", 1, "search").shape == (1, 3, 32, 32)
    assert (calls[0]["guidance_scale"], calls[0]["num_inference_steps"]) == (4.5, 3)
    assert not torch.equal(
        generator.generate("dog", 1, "search"),
        DiffusionGenerator(folder, steps=3, guidance=0.0, size=32).generate("dog", 1, "search"),
    )


def test_random_states_and_defaults_are_left_as_found(folder):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    try:
        generator = DiffusionGenerator(folder, steps=1, guidance=0.0)
        with torch.inference_mode():
            images = generator.generate("dog", 1, "search")
        assert generator.model.pipeline.unet.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]
    assert not images.is_inference()


def test_black_images_are_drawn_again(folder):
    censor = censored(folder, calls=1)
    images = censor.generate("dog", 2, "search")
    assert images.flatten(1).any(dim=1).all()
    plain = censored(folder, calls=0).generate("dog", 2, "search")
    assert torch.equal(images[1], plain[1])
    assert not torch.equal(images[0], plain[0])


def test_images_that_stay_black_are_left_out(folder):
    class Picky(Censor):
        """Blackens the first image of a batch, and the whole of a later one."""

        def forward(self, images, clip_input):
            is_shown = torch.arange(len(images)) > 0
            return images * is_shown.view(-1, 1, 1, 1), (~is_shown).tolist()

    generator = censored(folder, calls=0, batch_size=3)
    generator.model.pipeline.safety_checker = Picky(0)
    assert len(generator.generate("dog", 3, "search")) == 2


def test_a_concept_of_which_no_image_can_be_had_is_an_error_of_its_own(folder):
    with pytest.raises(NoImageError, match="'dog' but 2 came out black 3 times"):
        censored(folder, calls=99).generate("dog", 2, "search")


def test_numbers_that_are_none_count_as_black(folder):
    generator = DiffusionGenerator(folder, steps=1, guidance=0.0)
    with torch.no_grad():
        generator.model.pipeline.vae.post_quant_conv.weight.fill_(torch.nan)
    with pytest.raises(NoImageError, match="overflow"):
        generator.generate("dog", 1, "search")


def test_memory_is_given_back_and_copies_carry_no_weights(painter):
    before = painter.generate("dog", 1, "search")
    assert copy.deepcopy(painter).model._pipeline is None
    painter.release()
    assert painter.model._pipeline is None
    assert torch.equal(painter.generate("dog", 1, "search"), before)


def test_the_fingerprint_knows_content_and_settings_but_no_paths(folder, painter, tmp_path):
    same = DiffusionGenerator(str(save_painter(tmp_path / "elsewhere")), steps=2, guidance=0.0, batch_size=8)
    assert same.fingerprint() == painter.fingerprint() == painter.fingerprint()
    changed = DiffusionGenerator(folder, steps=2, guidance=0.0)
    with torch.no_grad():
        next(changed.model.pipeline.unet.parameters()).add_(1)
    settings = [{"steps": 3}, {"guidance": 1.0}, {"seed": 1}, {"size": 32}, {"template": "{}"}, {"views": ()}]
    settings += [{"dtype": "bfloat16"}]
    others = [DiffusionGenerator(folder, **{"steps": 2, "guidance": 0.0, **chosen}) for chosen in settings]
    assert len({generator.fingerprint() for generator in (painter, changed, *others)}) == 2 + len(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "a photo"}, "`template`"),
        ({"views": ("close up", "far")}, "`views`"),
        ({"views": ((),)}, "`views`"),
        ({"steps": 0}, "`steps`"),
        ({"guidance": -1.0}, "`guidance`"),
        ({"size": 0}, "`size`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"dtype": "float17"}, "`dtype`"),
        ({"dtype": "nn"}, "`dtype`"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DiffusionGenerator("some/model", **settings)


def test_a_model_has_to_be_named():
    with pytest.raises(ValueError, match="as in 'diffusion:ORG/REPO'"):
        GENERATORS.resolve("diffusion")


def test_a_count_that_asks_for_nothing_is_refused(painter):
    with pytest.raises(ValueError, match="`count`"):
        painter.generate("dog", 0, "search")


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"Expected `model` to be a folder .* then use `model='FOLDER'`"):
        DiffusionGenerator(str(tmp_path / "none"), local_files_only=True).generate("dog", 1, "search")


def test_without_diffusers_what_to_install_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"lightning-dissect\[refine\]"):
        DiffusionGenerator("some/model").generate("dog", 1, "search")
