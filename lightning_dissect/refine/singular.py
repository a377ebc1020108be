"""English nouns in the singular."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAME = _words("""
    always christmas dallas kansas las ours perhaps texas vegas yes
    alias atlas bias canvas gas pampas pancreas pyjamas pajamas
    asbestos chaos cosmos ethos kudos logos lotos mythos pathos rhinoceros thermos
    biceps corps cyclops forceps lens mars miniseries news sapiens series species summons triceps
    aerobics athletics economics electronics gymnastics mathematics physics politics robotics
    alms barracks bellows binoculars breeches clippers clothes crossroads dungarees gallows goggles headquarters jeans
    knickers leggings molasses oats overalls pants pincers pliers scissors shears shorts slacks spectacles sunglasses
    tights tongs trousers tweezers
    diabetes herpes measles mumps rabies shingles
""")
_NOT_OF_MEN = _words("""
    abdomen acumen albumen amen bitumen cyclamen dolmen foramen hymen lumen omen ramen regimen rumen semen specimen
    stamen yemen
""")
_IRREGULAR = dict(
    pair.split(":")
    for pair in _words("""
    brethren:brother dice:die geese:goose lice:louse woodlice:woodlouse mice:mouse dormice:dormouse titmice:titmouse
    oxen:ox dwarves:dwarf elves:elf halves:half hooves:hoof leaves:leaf lives:life scarves:scarf selves:self
    sheaves:sheaf thieves:thief turves:turf wharves:wharf
    alumni:alumnus bacilli:bacillus cacti:cactus foci:focus fungi:fungus hippopotami:hippopotamus nuclei:nucleus
    octopi:octopus radii:radius stimuli:stimulus
    algae:alga amoebae:amoeba antennae:antenna formulae:formula larvae:larva nebulae:nebula pupae:pupa
    vertebrae:vertebra
    aquaria:aquarium bacteria:bacterium criteria:criterion ova:ovum phenomena:phenomenon spectra:spectrum
    stadia:stadium strata:stratum
    analyses:analysis axes:axe crises:crisis diagnoses:diagnosis hypotheses:hypothesis oases:oasis
    parentheses:parenthesis theses:thesis
    appendices:appendix cortices:cortex indices:index matrices:matrix vertices:vertex vortices:vortex
    biases:bias lenses:lens quizzes:quiz topazes:topaz
    aliases:alias atlases:atlas canvases:canvas gases:gas pancreases:pancreas
    rhinoceroses:rhinoceros thermoses:thermos
    clematises:clematis ibises:ibis irises:iris mantises:mantis pelvises:pelvis penises:penis portcullises:portcullis
    trellises:trellis
    bayous:bayou caribous:caribou emojis:emoji emus:emu gnus:gnu gurus:guru haikus:haiku menus:menu tutus:tutu
    alibis:alibi bikinis:bikini bonsais:bonsai kiwis:kiwi khakis:khaki martinis:martini okapis:okapi paninis:panini
    rabbis:rabbi safaris:safari salamis:salami samurais:samurai saris:sari skis:ski taxis:taxi tsunamis:tsunami
    yetis:yeti zucchinis:zucchini
""")
)
_ENDINGS = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "people": "person",
    "feet": "foot",
    "teeth": "tooth",
    "calves": "calf",
    "knives": "knife",
    "loaves": "loaf",
    "shelves": "shelf",
    "wives": "wife",
    "wolves": "wolf",
}
_WITH_A_SILENT_E = _words("""
    aunties beanies birdies boogies bookies brownies budgies calories collies cookies cuties dies doggies foodies genies
    hippies hoodies lies magpies menageries movies neckties panties pies pixies prairies rookies selfies smoothies
    sorties talkies ties veggies zombies
    aches apaches avalanches brioches caches creches headaches moustaches mustaches niches pastiches porsches psyches
    quiches toothaches
    aloes canoes does floes foes hoes horseshoes mistletoes oboes roes shoes snowshoes throes tiptoes toes woes
    abuses accuses confuses excuses fuses hypotenuses muses recluses refuses ruses uses
""")
_SOFT = ("ss", "us", "is")
_HISSING = ("sses", "shes", "ches", "xes", "zzes", "tzes", "oes", "uses")


def singular(word: str) -> str:
    """Return a noun in the singular, or what is none unchanged.

    The rules of English spelling and its common exceptions, without a dictionary: nouns that only have a plural, such
    as *scissors*, and those that end in s, such as *lens*, stay. A rare word may lose its last letter.

    Args:
        word: One word in lower case.

    Example:
        >>> [singular(word) for word in ("dogs", "berries", "boxes", "horses", "wolves", "women", "mice")]
        ['dog', 'berry', 'box', 'horse', 'wolf', 'woman', 'mouse']
        >>> [singular(word) for word in ("glass", "bus", "lens", "species", "tennis", "scissors")]
        ['glass', 'bus', 'lens', 'species', 'tennis', 'scissors']

    """
    if word in _SAME:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    ending = next((ending for ending in _ENDINGS if word.endswith(ending)), None)
    if ending and word not in _NOT_OF_MEN:
        return word.removesuffix(ending) + _ENDINGS[ending]
    return _without_s(word) if len(word) > 3 and word.endswith("s") and not word.endswith(_SOFT) else word


def _without_s(word: str) -> str:
    """Return a word that ends in s without its regular ending."""
    if word in _WITH_A_SILENT_E or word.endswith(("ouses", "auses")):
        return word[:-1]
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(_HISSING) else word[:-1]
