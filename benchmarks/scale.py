"""What the default job costs at 100 GB of text and a model of 110 million parameters, on 1, 8 and 64 cards.

    python benchmarks/scale.py

Nothing is run: the table of docs/scale.md is computed from the rates below. Those under MEASURED were measured with
this code on one core of an AMD EPYC, as processor time, since the machine was busy; those under ASSUMED are of machines
that nobody here has had. Change a number and run it again. The last line is one JSON object.

A stage that works on text takes (bytes / rate); it runs in one process whatever the number of cards. A step of
pretraining takes (operations / what the cards do in a second) + the making of the batch, which each process does whole
and before it computes + what of the exchange of gradients does not fit beside the backward pass. Operations are
counted as in benchmarks/gpu.py. A ring of n exchanges 2 (n - 1) / n of the gradients' bytes over each link.
"""

import json
from dataclasses import asdict, dataclass

TEXT = 100e9  # bytes of UTF-8
CARDS = (1, 8, 64)
GB, HOUR = 1e9, 3600.0


@dataclass(frozen=True)
class Measured:
    """Rates of this code; bytes and tokens are the text's."""

    # bytes a second of one core, its start aside: the default job's 25,000 reviews, 32.5 MB
    ingest: float = 7.1e6
    validate: float = 4.4e6
    tokenize: float = 3.3e6
    hashing: float = 2.0e9  # sha256, of each input of a training stage
    batches: float = 70.8e6  # tokens a second that one core masks and puts together
    ingest_passes: float = 14  # times that the text is read or written: the source, scratch files, and these again
    ingest_memory: float = 25.0  # bytes for each byte that is held out: letters, and a hash of each window of them
    order_memory: float = 16.0  # bytes for each row of a pass, most while it is shuffled
    stored: float = 0.46  # bytes on disk for each byte of text, as Parquet
    bytes_per_token: float = 4.4


@dataclass(frozen=True)
class Assumed:
    """Machines of eight cards of the H100 class, and what they cost."""

    card_operations: float = 0.45 * 700e12  # a second: 45 % of its own bfloat16 product, the goal of benchmarks/gpu.py
    cards_of_a_machine: int = 8
    between_cards: float = 450e9  # bytes a second and direction
    between_machines: float = 50e9  # bytes a second for each card
    beside_backward: float = 2 / 3  # share of a step's operations that gradients are exchanged beside
    card_hour: float = 3.0  # dollars
    processor_hour: float = 6.0  # dollars, of a large machine without cards
    held_out_share: float = 0.02  # of the text, the default's


@dataclass(frozen=True)
class Model:
    """BERT-base by masked LM, its head at the masked positions alone."""

    layers: int = 12
    width: int = 768
    vocabulary: int = 30_522
    length: int = 128
    batch_rows: int = 2048
    mask_share: float = 0.15

    @property
    def layer_weights(self) -> int:
        """Weights of the layers' matrices: attention 4 width², feed-forward 8 width²."""
        return 12 * self.layers * self.width**2

    @property
    def parameters(self) -> int:
        """Those of the layers, of the word embeddings, which the head shares, and of its own matrix."""
        return self.layer_weights + self.vocabulary * self.width + self.width**2

    @property
    def operations(self) -> float:
        """Operations for each token, forward and backward."""
        head = self.width**2 + self.width * self.vocabulary
        return 6 * self.layer_weights + 6 * self.mask_share * head + 12 * self.layers * self.width * self.length


MEASURED, ASSUMED, MODEL = Measured(), Assumed(), Model()
TOKENS = TEXT / MEASURED.bytes_per_token


def step(cards: int) -> dict[str, float]:
    """Return the seconds of a step by what they go into."""
    tokens = MODEL.batch_rows * MODEL.length
    compute = tokens * MODEL.operations / (cards * ASSUMED.card_operations)
    link = ASSUMED.between_cards if cards <= ASSUMED.cards_of_a_machine else ASSUMED.between_machines
    exchange = 2 * (cards - 1) / cards * 4 * MODEL.parameters / link
    waiting = max(0.0, exchange - ASSUMED.beside_backward * compute)
    return {"computing": compute, "making the batch": tokens / MEASURED.batches, "waiting for gradients": waiting}


@dataclass(frozen=True)
class Cost:
    """Of one stage: bytes moved, operations; for each number of cards hours and dollars."""

    stage: str
    moved: float
    operations: float
    hours: list[float]
    dollars: list[float]


def stages() -> list[Cost]:
    """Return the cost of every stage that grows with the text."""
    stored, ids = MEASURED.stored * TEXT, 2 * TOKENS
    costs = []
    for name, rate, moved in (
        ("ingest", MEASURED.ingest, MEASURED.ingest_passes * TEXT + stored),
        ("validate", MEASURED.validate, 2 * stored),
        ("tokenize_corpus", MEASURED.tokenize, stored + ids),
    ):
        hours = [TEXT / rate / HOUR] * len(CARDS)
        costs.append(Cost(name, moved, 0.0, hours, [spent * ASSUMED.processor_hour for spent in hours]))
    steps = TOKENS / (MODEL.batch_rows * MODEL.length)
    hours = [(steps * sum(step(cards).values()) + ids / MEASURED.hashing) / HOUR for cards in CARDS]
    dollars = [spent * cards * ASSUMED.card_hour for spent, cards in zip(hours, CARDS, strict=True)]
    costs.append(Cost("pretrain", 2 * ids, TOKENS * MODEL.operations, hours, dollars))  # hashed, then read
    return costs


def tables() -> list[str]:
    """Return the lines of the two tables of docs/scale.md."""
    heads = " | ".join(f"{cards} card{'s' if cards > 1 else ''}" for cards in CARDS)
    lines = [f"| stage | bytes moved | operations | {heads} |", "|---|---|---|---|---|---|"]
    for cost in stages():
        spent = [f"{hours:,.1f} h, ${dollars:,.0f}" for hours, dollars in zip(cost.hours, cost.dollars, strict=True)]
        work = f"{cost.operations:.1e}" if cost.operations else ""
        lines.append(f"| {cost.stage} | {cost.moved / GB:,.0f} GB | {work} | {' | '.join(spent)} |")
    lines += ["", f"| milliseconds of a step | {heads} |", "|---|---|---|---|"]
    for part in step(1):
        lines.append(f"| {part} | {' | '.join(f'{1000 * step(cards)[part]:,.1f}' for cards in CARDS)} |")
    return lines


def main() -> None:
    """Print the tables and their figures."""
    print("\n".join(tables()))
    rows = TOKENS / MODEL.length
    figures = {
        "parameters": MODEL.parameters,
        "tokens": TOKENS,
        "ingest_gigabytes_of_memory": MEASURED.ingest_memory * ASSUMED.held_out_share * TEXT / GB,
        "order_gigabytes_of_memory": MEASURED.order_memory * rows / GB,
        "gradient_gigabytes_of_a_step": 4 * MODEL.parameters / GB,
    }
    print(
        json.dumps(
            figures
            | {"stages": [asdict(cost) for cost in stages()], "step": {str(cards): step(cards) for cards in CARDS}}
        )
    )


if __name__ == "__main__":
    main()
