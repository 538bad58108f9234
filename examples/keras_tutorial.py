"""The classic transfer-learning tutorial with Acclimate: Keras' MobileNetV2 without its top, on one's own images.

Step 1 freezes the network, averages its last feature map over all places and learns a softmax head for ten
classes. Step 2 trains the network too, opening it block by block from the head down. The images are scikit-learn's
handwritten digits. The weights come from a local file (`keras_weights.py` writes one). Without it they are random;
frozen they would know nothing, so all of the network is trained from the start.

    python examples/keras_weights.py mobilenet_v2.weights.h5
    python examples/keras_tutorial.py --weights mobilenet_v2.weights.h5 [--size 64] [--rows 600]
"""

from __future__ import annotations

import argparse
import warnings

import acclimate as ac
from acclimate.domains.sample import handwritten_digits
from acclimate.domains.split import split


def main(weights: str | None = None, size: int = 64, rows: int = 600, epochs: float = 6.0) -> dict[str, float]:
    """Accuracy on held-out images by what was trained."""
    print(f"MobileNetV2, {f'weights of {weights}' if weights else 'random weights'}, images of {size} pixels")
    digits = handwritten_digits()
    digits = digits.select(digits.order[:rows])
    train, test = (digits.select(index) for index in split(digits, 0.25, seed=0))
    backbone = {"name": "keras:MobileNetV2", "size": size, "weights": weights, "square": "stretch"}
    accuracy = {}
    for tune in ("frozen", "gradual") if weights else ("full",):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "keras:MobileNetV2: no weights were given")  # said above
            run = ac.adapt(
                None,
                train,
                target_label="label",
                method="target_only",
                backbone=backbone,
                tune=tune,
                training={"epochs": epochs, "batch_size": 16},
                plain_baseline=False,
            )
            accuracy[tune] = run.evaluate(test)["metrics"]["accuracy"]
        print(f"{tune:8s} {accuracy[tune]:.3f} of {len(test)} held-out images right")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="a local .weights.h5 or .keras file of MobileNetV2 without its top")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rows", type=int, default=600)
    options = parser.parse_args()
    main(options.weights, options.size, options.rows)
