"""Learning rates of each backbone, chosen on validation users by `benchmarks/tuning.py` (docs/results/tuning.json)."""

from ranking.fit import FitOptions

# backbone -> (learning rate, share of it for embeddings of ids), for variants like `strong` and variants like `ours`
TUNED: dict[str, dict[str, tuple[float, float]]] = {
    "din": {"strong": (0.002, 1.0), "ours": (0.002, 0.03)},
    "dien": {"strong": (0.002, 1.0), "ours": (0.002, 0.03)},
    "deepfm": {"strong": (0.002, 0.1), "ours": (0.002, 0.03)},
    "xdeepfm": {"strong": (0.001, 0.1), "ours": (0.001, 0.03)},
    "dcn": {"strong": (0.002, 0.1), "ours": (0.002, 0.03)},
    "dcnv2": {"strong": (0.001, 1.0), "ours": (0.002, 0.03)},
    "autoint": {"strong": (0.001, 1.0), "ours": (0.001, 0.03)},
    "fibinet": {"strong": (0.001, 1.0), "ours": (0.002, 0.03)},
    "fignn": {"strong": (0.001, 1.0), "ours": (0.001, 0.1)},
}


def tuned(backbone: str, knows: bool, epochs: int, seed: int) -> FitOptions:
    """Options of a training; `knows`: `Variant.knows`."""
    rate, share = TUNED[backbone]["ours" if knows else "strong"]
    return FitOptions(epochs=epochs, seed=seed, learning_rate=rate, embedding_rate=share)
