"""Learns to read handwritten digits: 1,797 images of 8x8 pixels that come with scikit-learn."""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairing_core import TrainJob


def train(strength: float, seed: int = 0) -> dict[str, float]:
    """The accuracy on images that the model has never seen."""
    images, digits = load_digits(return_X_y=True)
    seen, unseen, labels, truth = train_test_split(
        images, digits, test_size=0.25, stratify=digits, random_state=seed
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    model.fit(seen, labels)
    accuracy = model.score(unseen, truth)
    print(f"trained on {len(seen)} images, right on {accuracy:.1%} of {len(unseen)} others")
    return {"strength": strength, "accuracy": round(float(accuracy), 4)}


if __name__ == "__main__":
    run = TrainJob(train, backend="local", kwargs={"strength": 0.1}).submit()
    for piece in run.logs(follow=True):
        print(piece, end="")
    print(run.result())
