"""Queries in other languages are told from English ones.

Measured on 119 queries in 16 languages and 200 English ones, many of them rare words, noises
spelled out, and misspellings. The rule was made with the first list of each in view; the second
lists were written before they were measured.
"""

from __future__ import annotations

import pytest

from engine.advice.suggestions import adviser
from engine.taxonomy.english import English, Reading

FOREIGN = """
Hund bellt | Katze miaut | Regen auf dem Dach | Kirchenglocken läuten | Vogelgezwitscher |
Schritte im Schnee | Motorrad | Türklingel | ein Kind lacht | Donner und Blitz | Gitarre und
Gesang | Wellen am Strand | chien qui aboie | chat qui miaule | pluie sur le toit | cloches
d'église | porte qui grince | bébé qui pleure | moteur de voiture | oiseaux qui chantent | bruit
de pas | perro ladrando | gato maullando | lluvia | campanas de iglesia | pájaros cantando |
niño llorando | motor de coche | olas del mar | cane che abbaia | pioggia sul tetto | campane
della chiesa | uccelli che cantano | bambino che piange | rumore di passi | hond blaft | regen
op het dak | kerkklokken | vogels zingen | huilende baby | voetstappen in de sneeuw | szczekanie
psa | deszcz | dzwony kościelne | śpiew ptaków | płacz dziecka | 犬の鳴き声 | 雨の音 | собака лает |
пение птиц | дождь | 狗叫声 | 下雨声 | cachorro latindo | chuva | hunden skäller | koira haukkuu |
köpek havlaması | inu ga hoeru
"""
FOREIGN_UNSEEN = """
Schafe blöken | Wecker klingelt | Flugzeug startet | Gewitter | Applaus | Kind weint | der Wind
heult | Hahn kräht | Feuer knistert | Hubschrauber | Trommelwirbel | une voiture qui passe | le
vent dans les arbres | rire d'enfant | tonnerre | applaudissements | sonnette de porte | la mer
| guitare acoustique | vidrio rompiéndose | trueno | el viento | aplausos | risa de niños |
sirena de policía | gallo cantando | teclado | vento | tuono | applausi | chitarra acustica |
vetro che si rompe | fuoco | regengeluid | klok tikt | lachende kinderen | donder | brekend glas
| wind door de bomen | pies szczeka | grzmot | oklaski | wiatr | bicie serca | кошка мяукает |
гром | смех ребёнка | 鳥のさえずり | 雷 | 拍手 | 鸟鸣 | 雷声 |
개 짖는 소리 | نباح كلب | κρόταλο | vento forte |
trovão | applåder | ukkonen | gök gürültüsü
"""
ENGLISH = """
pheasant | didgeridoo | kookaburra | whoosh | dog barkng | birdsong | thunderstorm |
glockenspiel | swoosh | boing | kaboom | meow | cockatoo | harpsichord | theremin | hurdy gurdy
| sitar | bouzouki | djembe | kazoo | ukulele | vuvuzela | bagpipes | cicadas | woodpecker |
nightingale | chainsaw | jackhammer | lawnmower | leafblower | hairdryer | dishwasher | airhorn
| foghorn | doorbell | typewriter | skateboard | helicopter | F-16 flyover | Geiger counter |
Morse code | dial-up modem | Roland 808 kick | cowbell | castanets | maracas | hihat | hi-hat |
ratchet | squelch | plop | kerplunk | ka-ching | tick-tock | ding dong | pitter-patter | ribbit
| oink | cock-a-doodle-doo | baa | hissss | snoring | sneezing | burping | yodeling | ululation
| beatboxing | ASMR whispering | gibberish | dubstep wobble | vinyl crackle | tinnitus | hum 50
Hz | whimpering puppy | frigatebird | tui | kiwi | wombat | thylacine | xylophone | hadeda |
ibis | thunderstrom | pheasent | café chatter | a man die laughing | de-esser noise | a child
crying in the distance | rain on a tin roof | an old van engine | EV | TV | piñata breaking |
déjà vu song | car passing by | the dog | cat | cat purring | speech | woman | a guitar solo in
E minor | UFO | sci-fi laser | 8-bit game
"""
ENGLISH_UNSEEN = """
loon call | cassowary | capuchin monkey | budgerigar | peacock scream | macaw | chipmunk |
wildebeest | hyena laughing | tree frog chorus | katydid | mosquito | bumblebee | clavichord |
zither | balalaika | oud | erhu | shamisen | koto | hang drum | cajon | tabla | bodhran |
melodica | concertina | flugelhorn | euphonium | cor anglais | piccolo | timpani | vibraslap |
gong | singing bowl | beep | bloop | thwack | thud | clang | clunk | kersplash | zap | bzzzt |
pew pew | vroom | achoo | tsk tsk | psst | shhh | grrr | woof woof | quack | hee-haw | moo |
cuckoo clock | espresso machine | coffee grinder | microwave ding | Velcro | zipper | bubble
wrap | styrofoam squeak | scuba breathing | defibrillator | ventilator | MRI scanner | dentist
drill | sonar ping | theremin solo | Hammond organ | Fender Rhodes | TR-909 snare | autotuned
voice | auctioneer | muezzin | yodelling cowboy | Gregorian chant | didgeridoo drone | crackling
fire | footstep on gravel | guitar feedback | guiter | violen | barking dgo | rian on roof |
trafic noise | creeking door | motorbike revving | tuk-tuk | vacum cleaner | Big Ben | Tarzan
yell | Wilhelm scream | R2-D2 | light sabre | cash register ka-ching
"""


@pytest.fixture(scope="module")
def english() -> English:
    return adviser().english


def queries(text: str) -> list[str]:
    return [query.strip() for query in text.replace("\n", " ").split("|")]


@pytest.mark.parametrize(
    ("text", "count", "taken_for_english"),
    [(FOREIGN, 59, 3), (FOREIGN_UNSEEN, 60, 8)],
)
def test_other_languages_are_told_apart(
    english: English, text: str, count: int, taken_for_english: int
) -> None:
    """Left are words that English shares: "huilende baby", "Applaus", "pies"."""
    found = queries(text)
    assert len(found) == count
    wrong = [query for query in found if english.read(query).is_english]
    assert len(wrong) == taken_for_english, wrong


@pytest.mark.parametrize(
    ("text", "count", "taken_for_foreign"),
    [(ENGLISH, 104, 10), (ENGLISH_UNSEEN, 96, 14)],
)
def test_english_is_known(english: English, text: str, count: int, taken_for_foreign: int) -> None:
    """Left are words for which the table holds pieces only: "vuvuzela", "erhu", "pheasent"."""
    found = queries(text)
    assert len(found) == count
    wrong = [query for query in found if not english.read(query).is_english]
    assert len(wrong) == taken_for_foreign, wrong


def test_what_a_kind_of_sound_is_called_is_english(english: English) -> None:
    assert [phrase for phrase in english.phrases if not english.read(phrase).is_english] == []


@pytest.mark.parametrize(
    ("query", "reading"),
    [
        ("dog barkng", Reading(2, 1, accents=False)),
        ("lawnmower", Reading(1, 1, accents=False)),  # two words in one
        ("hissssss", Reading(1, 1, accents=False)),
        ("hihat", Reading(1, 1, accents=False)),  # a caption without its hyphen
        ("EV in E at 50 Hz", Reading(0, 0, accents=False)),
        ("chat qui miaule", Reading(3, 1, accents=False)),
        ("café", Reading(1, 1, accents=True)),
        ("śpiew", Reading(1, 0, accents=True)),
        ("犬 barking", Reading(2, 1, accents=True)),
        ("?", Reading(0, 0, accents=False)),
    ],
)
def test_words_are_counted(english: English, query: str, reading: Reading) -> None:
    assert english.read(query) == reading
