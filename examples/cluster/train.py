"""Trains on your cluster; two settings say where.

    export FAIRING_REGISTRY=registry.example.com/me   # you may push there, and the cluster pull
    export FAIRING_KUBERNETES__NAMESPACE=lab          # you may run there
    python train.py

The code is put on python:X.Y-slim and does with what that has; FAIRING_BASE_IMAGE names another.
"""

from __future__ import annotations

import random

from fairing_core import TrainJob


def train(epochs: int = 20, rate: float = 0.1) -> dict[str, float]:
    """Finds the line that noisy points lie on, by stochastic gradient descent."""
    chance = random.Random(0)
    places = [chance.uniform(-1, 1) for _ in range(1000)]
    points = [(x, 3 * x + 2 + chance.gauss(0, 0.1)) for x in places]
    slope = intercept = loss = 0.0
    for epoch in range(1, epochs + 1):
        loss = 0.0
        for x, y in points:
            error = slope * x + intercept - y
            slope -= rate * error * x
            intercept -= rate * error
            loss += error**2 / len(points)
        print(f"epoch {epoch:2}  loss {loss:.4f}")
    return {"slope": round(slope, 2), "intercept": round(intercept, 2), "loss": round(loss, 4)}


if __name__ == "__main__":
    run = TrainJob(train, backend="kubernetes", kwargs={"epochs": 5}).submit()
    for line in run.logs(follow=True):
        print(line, end="")
    print(run.result())
