import pytest
import torch

from lightning_dissect.refine.bank import ConceptBank
from lightning_dissect.refine.base import NoImageError
from tests.helpers.word_world import WORDS, Painter, Reader, pool, unit

COUNTS = {"search": 4, "judging": 6}
UNITS = [unit("single", "ban"), unit("single", "dop"), unit("dead")]


def bank_of(generator=None, reader=None, dirpath=None, counts=COUNTS, some=None):
    painter = generator or Painter()
    made = {"search": painter, "judging": painter}
    return ConceptBank(made, reader or Reader(UNITS), counts, some or pool(20), dirpath)


def test_an_image_is_measured_once_at_all_neurons():
    reader = Reader(UNITS)
    bank = bank_of(reader=reader)
    drawn = bank.draw("ban dop", "search")
    assert (drawn.new_images, len(drawn.image_ids), reader.num_read) == (4, 4, 24)
    assert bank.activations("units", drawn.image_ids).shape == (4, 3)
    assert (bank.activations("units", drawn.image_ids)[:, :2] > 0.5).all()
    again = bank.draw("ban dop", "search")
    assert (again.image_ids, again.new_images, reader.num_read) == (drawn.image_ids, 0, 24)
    assert bank.knows("ban dop", "search")
    assert not bank.knows("ban dop", "judging")
    assert bank.num_units == {"units": 3}


def test_images_of_the_pool_cost_no_other_run():
    class Finder(Painter):
        def generate(self, concept, count, purpose):
            return some.images[:count]

    some, reader = pool(20), Reader(UNITS)
    bank = bank_of(Finder(), reader, some=some)
    drawn = bank.draw("ban", "judging")
    assert list(drawn.image_ids) == some.content_ids[:6].tolist()
    assert (drawn.new_images, reader.num_read) == (6, 20)
    expected = reader.read(some.images[:6])["units"]
    torch.testing.assert_close(bank.activations("units", drawn.image_ids), expected)


def test_means_are_those_of_the_search_images_in_the_order_of_the_concepts():
    bank = bank_of()
    assert bank.means("units").shape == (0, 3)
    for concept in WORDS[:9]:
        drawn = bank.draw(concept, "search")
        bank.draw(concept, "judging")
        torch.testing.assert_close(bank.means("units")[-1], bank.activations("units", drawn.image_ids).mean(dim=0))
    assert bank.concepts("search") == bank.concepts("judging") == tuple(WORDS[:9])


def test_what_was_drawn_is_on_disk(tmp_path):
    first = bank_of(dirpath=tmp_path)
    drawn = first.draw("ban, 'dop'/BAN", "search")
    painter, reader = Painter(), Reader(UNITS)
    second = bank_of(painter, reader, tmp_path)
    again = second.draw("ban, 'dop'/BAN", "search")
    assert (painter.asked, reader.num_read) == ([], 20)
    assert again == drawn
    assert torch.equal(second.activations("units", again.image_ids), first.activations("units", drawn.image_ids))
    pictures, before = second.pictures(again.image_ids), first.pictures(drawn.image_ids)
    assert list(pictures) == list(drawn.image_ids)
    assert all((pictures[name] == before[name]).all() for name in pictures)


@pytest.mark.parametrize("change", ["weights", "concept", "purpose", "count", "generator", "pool"])
def test_nothing_is_taken_for_that_of_other_weights_words_or_images(tmp_path, change):
    class Other(Painter):
        def fingerprint(self):
            return "other"

    bank_of(dirpath=tmp_path).draw("ban", "search")
    painter = Other() if change == "generator" else Painter()
    units = [unit("single", "dop"), *UNITS[1:]] if change == "weights" else UNITS
    counts = COUNTS | ({"search": 5} if change == "count" else {})
    some = pool(20, seed=1) if change == "pool" else None
    bank = bank_of(painter, Reader(units), tmp_path, counts, some)
    bank.draw("Ban" if change == "concept" else "ban", "judging" if change == "purpose" else "search")
    assert len(painter.asked) == 1


def test_the_origin_tells_networks_generators_and_pools_apart():
    first = bank_of()
    assert first.origin == bank_of().origin
    others = [bank_of(reader=Reader(UNITS[::-1])), bank_of(counts=COUNTS | {"judging": 7}), bank_of(some=pool(21))]
    assert len({first.origin, *(bank.origin for bank in others)}) == 4


def test_a_concept_without_images_is_told():
    with pytest.raises(NoImageError, match="Painter to give images of 'unpaintable'"):
        bank_of().draw("unpaintable", "search")


def test_an_image_that_comes_twice_counts_once():
    class Twice(Painter):
        def generate(self, concept, count, purpose):
            return super().generate(concept, 1, purpose).repeat(count, 1, 1, 1)

    reader = Reader(UNITS)
    bank = bank_of(Twice(), reader)
    drawn = bank.draw("ban", "search")
    assert len(set(drawn.image_ids)) == 1
    assert bank.activations("units", drawn.image_ids).shape == (4, 3)
    assert bank.draw("dop", "search").new_images == 4
    assert (bank.means("units")[:, 1] > 0.5).tolist() == [False, True]


def test_pictures_of_the_pool_are_those_of_its_images():
    bank = bank_of()
    image_id = bank.pool.content_ids[3].item()
    assert (bank.pictures([image_id])[image_id] == bank.pool.images[3].permute(1, 2, 0).numpy()).all()
