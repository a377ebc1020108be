import torch

from lightning_dissect.similarity.concept_space import ConceptSpace


def test_blocks_are_centred_both_ways(concept_matrix):
    space = ConceptSpace(concept_matrix, max_rank=20, seed=0, max_bytes=3000)
    parts = [columns for _, columns in space.blocks()]
    whole = torch.cat(parts, dim=1)
    assert len(parts) == 4
    torch.testing.assert_close(whole.mean(dim=0), torch.zeros(11, dtype=torch.float64), rtol=0, atol=1e-15)
    torch.testing.assert_close(whole.mean(dim=1), torch.zeros(120, dtype=torch.float64), rtol=0, atol=1e-9)


def test_basis_and_coordinates_make_the_matrix(concept_matrix):
    space = ConceptSpace(concept_matrix, max_rank=50, seed=0, max_bytes=2**20)
    assert space.basis.shape == (120, 10)
    whole = torch.cat([columns for _, columns in space.blocks()], dim=1)
    torch.testing.assert_close(space.basis @ space.coordinates, whole)
    torch.testing.assert_close(space.basis.T @ space.basis, torch.eye(10, dtype=torch.float64))


def test_sketch_finds_the_rank_of_an_encoder_in_spite_of_rounding():
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.randn(300, 16, generator=generator), torch.randn(400, 16, generator=generator)
    space = ConceptSpace(images @ texts.T, max_rank=100, seed=0, max_bytes=2**20)
    assert space.basis.shape == (300, 16)


def test_matrix_without_differences_spans_nothing():
    space = ConceptSpace(torch.full((30, 5), 0.2), max_rank=10, seed=0, max_bytes=2**20)
    assert space.coordinates.eq(0).all()


def test_sketch_is_seeded_and_leaves_the_global_generator_alone(concept_matrix):
    state = torch.random.get_rng_state()
    first, second, other = (
        ConceptSpace(concept_matrix, max_rank=4, seed=seed, max_bytes=2**20).coordinates for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_column_outside_the_first_part_is_found():
    """All columns but one lie in few dimensions."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(200, 4, generator=generator) @ torch.randn(4, 300, generator=generator)
    for lonely in (0, 150, 299):
        odd = matrix.clone()
        odd[:, lonely] = torch.randn(200, generator=generator)
        space = ConceptSpace(odd, max_rank=40, seed=0, max_bytes=2**20)
        energy = sum(columns.square().sum() for _, columns in space.blocks())
        torch.testing.assert_close(space.coordinates.square().sum(), energy, rtol=1e-9, atol=0)


def test_sketched_matrix_without_differences_spans_nothing():
    space = ConceptSpace(torch.full((30, 50), 0.2), max_rank=10, seed=0, max_bytes=2**20)
    assert space.coordinates.eq(0).all()
