import pytest

from lightning_dissect.refine.singular import _IRREGULAR, _SAME, singular

PAIRS = """
dogs:dog cats:cat cows:cow toys:toy photos:photo videos:video zoos:zoo tables:table houses:house horses:horse
roses:rose vases:vase nurses:nurse tortoises:tortoise bruises:bruise cheeses:cheese blouses:blouse causes:cause
berries:berry flies:fly puppies:puppy cities:city movies:movie cookies:cookie ties:tie
boxes:box foxes:fox dishes:dish brushes:brush churches:church watches:watch headaches:headache niches:niche
glasses:glass dresses:dress classes:class buses:bus viruses:virus walruses:walrus cactuses:cactus fuses:fuse
potatoes:potato tomatoes:tomato heroes:hero shoes:shoe toes:toe canoes:canoe waltzes:waltz mazes:maze quizzes:quiz
lenses:lens irises:iris gases:gas atlases:atlas axes:axe crises:crisis
wolves:wolf werewolves:werewolf knives:knife penknives:penknife leaves:leaf shelves:shelf bookshelves:bookshelf
gloves:glove olives:olive waves:wave stoves:stove valves:valve chives:chive
men:man women:woman snowmen:snowman children:child grandchildren:grandchild people:person feet:foot teeth:tooth
mice:mouse geese:goose oxen:ox lice:louse cacti:cactus fungi:fungus larvae:larva bacteria:bacterium
taxis:taxi skis:ski bikinis:bikini menus:menu emus:emu mongooses:mongoose
"""
STAYING = """
dog glass grass bus gas lens species series news tennis iris oasis axis virus cactus octopus walrus hippopotamus
scissors trousers pliers jeans binoculars sunglasses canvas atlas rhinoceros cosmos chaos christmas corps forceps
specimen abdomen ramen police slice pumice dress bass chess cross compass mattress is was us sheep fish deer moose
physics gymnastics debris chassis headquarters
"""


@pytest.mark.parametrize(("plural", "word"), [pair.split(":") for pair in PAIRS.split()])
def test_a_plural_gives_its_singular_and_the_singular_stays(plural, word):
    assert singular(plural) == word == singular(word)


@pytest.mark.parametrize("word", STAYING.split())
def test_what_is_no_plural_stays(word):
    assert singular(word) == word


def test_what_the_exceptions_say_is_final():
    assert all(singular(word) == word for word in [*_SAME, *_IRREGULAR.values()])
