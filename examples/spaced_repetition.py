"""A model of memory, fitted to the review histories of flash cards.

Who learns with flash cards answers each card again after days or months, with a grade: 1 forgotten,
2 hard, 3 good, 4 easy. Models of the FSRS family (Ye, Su and Cao 2022) give a card two numbers: its
stability S, the days until recall has fallen to 90 %, and its difficulty D in [1, 10]. After t days
it is recalled with the probability

    R(t, S) = (1 + F t / S)^-decay,   F = 0.9^(-1 / decay) - 1

The first grade g sets S to one of four values and D to D0(g) = d_start - exp(d_spread (g - 1)) + 1.
Each later review updates both:

    recalled:   S <- S (1 + gain (11 - D) S^-saturation (exp(spacing (1 - R)) - 1) factor(g))
    forgotten:  S <- min(S, lapse D^-lapse_d ((S + 1)^lapse_s - 1) exp(lapse_r (1 - R)))
    same day:   S <- S exp(short (g - 3 + shift))
    D <- (1 - back) (D - d_step (g - 3) (10 - D) / 9) + back D0(4)

factor is `hard` for grade 2, `easy` for grade 4, else 1. The 20 parameters are positive, so their
logarithms are fitted. The loss is the mean over all later reviews of -log R where the card was
recalled and of -log(1 - R) where it was forgotten. On average no prediction is better than the true
probabilities, so a fit is judged on new histories by how close it comes to the true parameters.

The program loops over the number of the review, and each line computes for all cards at once. The
histories are made by the model itself with known parameters, by the same lines.

    python examples/spaced_repetition.py --plot memory.svg
"""

import argparse
import time

import numpy as np

import needle as ndl
from needle import optim

# Each parameter's value in the synthetic data, and where the fit starts.
PARAMETERS = {
    "first_again": (0.4, 1.0),
    "first_hard": (1.3, 1.0),
    "first_good": (3.0, 1.0),
    "first_easy": (11.0, 1.0),
    "d_start": (7.0, 5.0),
    "d_spread": (0.5, 0.2),
    "d_step": (1.4, 0.5),
    "back": (0.03, 0.1),
    "gain": (4.5, 1.0),
    "saturation": (0.15, 0.3),
    "spacing": (1.0, 1.0),
    "hard": (0.4, 1.0),
    "easy": (2.2, 1.0),
    "lapse": (2.0, 1.0),
    "lapse_d": (0.1, 0.3),
    "lapse_s": (0.3, 0.3),
    "lapse_r": (2.2, 1.0),
    "short": (0.5, 1.0),
    "shift": (0.7, 1.0),
    "decay": (0.4, 1.0),
}
NAMES = list(PARAMETERS)
TRUE, START = np.log(list(PARAMETERS.values())).T


class Memory:
    """The states of many cards, each a vector: parameters are the logarithms `theta`."""

    def __init__(self, theta, grade):
        p = ndl.exp(theta)
        self.p = {name: p[i] for i, name in enumerate(NAMES)}
        self.stability = ndl.take(p[:4], grade - 1)
        self.difficulty = self._first_difficulty(grade)

    def _first_difficulty(self, grade):
        p = self.p
        return _clip(p["d_start"] + 1 - ndl.exp(p["d_spread"] * (grade - 1.0)))

    def recall(self, days):
        """The probability of recall after so many days."""
        factor = 0.9 ** (-1 / self.p["decay"]) - 1
        return (1 + factor * days / self.stability) ** -self.p["decay"]

    def review(self, days, grade):
        """Go on to the state after a review."""
        p, s, d = self.p, self.stability, self.difficulty
        lost = 1 - self.recall(days)
        factor = ndl.where(grade == 2, p["hard"], ndl.where(grade == 4, p["easy"], 1.0))
        spacing = ndl.exp(p["spacing"] * lost) - 1
        recalled = s * (1 + p["gain"] * (11 - d) * s ** -p["saturation"] * spacing * factor)
        lapsed = p["lapse"] * d ** -p["lapse_d"] * ((s + 1) ** p["lapse_s"] - 1)
        forgotten = ndl.minimum(s, lapsed * ndl.exp(p["lapse_r"] * lost))
        same_day = s * ndl.exp(p["short"] * (p["shift"] + (grade - 3.0)))
        later = ndl.where(grade == 1, forgotten, recalled)
        self.stability = ndl.where(days == 0, same_day, later)
        moved = d - p["d_step"] * (grade - 3.0) * (10 - d) / 9
        easiest = self._first_difficulty(np.array(4))
        self.difficulty = _clip((1 - p["back"]) * moved + p["back"] * easiest)


def _clip(difficulty):
    return ndl.minimum(ndl.maximum(difficulty, 1.0), 10.0)


def simulate(cards, reviews, rng):
    """Days since the last review (0: the same day, or the first) and grades, (reviews, cards)."""
    days, grades = [np.zeros(cards)], [rng.choice([1, 2, 3, 4], cards, p=[0.2, 0.2, 0.4, 0.2])]
    with ndl.no_grad():
        memory = Memory(ndl.Tensor(TRUE), grades[0])
        for _ in range(reviews - 1):
            # Reviews come at widely different times, so that the whole forgetting curve shows.
            wait = memory.stability.numpy() * rng.lognormal(0.3, 0.9, cards)
            days.append(np.clip(np.round(wait), 0, 3650))
            recalled = rng.random(cards) < memory.recall(days[-1]).numpy()
            grade = rng.choice([2, 3, 4], cards, p=[0.2, 0.6, 0.2])
            grades.append(np.where(recalled, grade, 1))
            memory.review(days[-1], grades[-1])
    return np.stack(days), np.stack(grades)


def predict(theta, days, grades):
    """The probabilities of recall at every review but the first, (reviews - 1, cards)."""
    memory, found = Memory(theta, grades[0]), []
    for i in range(1, len(days)):
        found.append(memory.recall(days[i]))
        memory.review(days[i], grades[i])
    return ndl.stack(found)


def log_loss(theta, days, grades):
    recall = predict(theta, days, grades)
    return -ndl.log(ndl.where(grades[1:] > 1, recall, 1 - recall)).mean()


def fit(days, grades, epochs, rng, batch=500, lr=0.1):
    """Adam on batches of cards, with a rate that falls to 0 along half a cosine."""
    theta = ndl.Tensor(START)
    cards = days.shape[1]
    optimizer = optim.Adam([theta], lr=lr, beta2=0.99)
    schedule = optim.schedules.CosineLR(optimizer, epochs * -(-cards // batch))
    for _ in range(epochs):
        order = rng.permutation(cards)
        for first in range(0, cards, batch):
            part = order[first : first + batch]
            log_loss(theta, days[:, part], grades[:, part]).backward()
            optimizer.step()
            schedule.step()
    return theta.detach()


def calibration(theta, days, grades, bins=20):
    """Mean prediction and rate of recall in bins of as many reviews, in the order of prediction."""
    recall, truth = predict(theta, days, grades).numpy().ravel(), (grades[1:] > 1).ravel()
    parts = np.array_split(np.argsort(recall), bins)
    return np.array([(recall[part].mean(), truth[part].mean()) for part in parts]).T


def plot(path, fits, days, grades):
    """Calibration on the test data, and the recall of one card as time goes on."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    looks = {
        "start": {"color": "0.55"},
        "true parameters": {"color": "tab:orange", "alpha": 0.5, "linewidth": 5},
        "fitted": {"color": "tab:blue"},
    }
    story = [(3, 3), (9, 3), (30, 1), (4, 3), (12, 3), (40, 3)]  # days of waiting, grade
    for name, theta in fits.items():
        memory, today, times, recalls = Memory(theta, np.array(3)), 0, [], []
        for wait, grade in story:
            t = np.linspace(0, wait, 25)
            times += [*(today + t), np.nan]
            recalls += [*memory.recall(t).numpy(), np.nan]
            memory.review(np.array(wait), np.array(grade))
            today += wait
        right.plot(times, recalls, label=name, **looks[name])
        if name != "true parameters":
            left.plot(*calibration(theta, days, grades), ".-", label=name, **looks[name])
    left.set(xlabel="predicted probability of recall", ylabel="recalled", title="calibration")
    title = "probability of recall of a card that is forgotten on day 42"
    right.set(xlabel="day", title=title, ylim=(0.5, 1.02))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cards", type=int, default=10_000, help="histories to fit, and to test")
    parser.add_argument("--reviews", type=int, default=8, help="reviews in each history")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw the result: .png, .svg or .pdf")
    parser.add_argument("--quick", action="store_true", help="2,000 histories, 20 epochs")
    options = parser.parse_args()
    if options.quick:
        options.cards, options.epochs = 2_000, 20

    rng = np.random.default_rng(options.seed)
    data, test = (simulate(options.cards, options.reviews, rng) for _ in range(2))
    began = time.perf_counter()
    fitted = fit(*data, options.epochs, rng)
    seconds = time.perf_counter() - began
    print("parameter      true  fitted")
    for name, truth, found in zip(NAMES, np.exp(TRUE), np.exp(fitted.numpy()), strict=True):
        print(f"{name:12} {truth:6.2f}  {found:6.2f}")
    fits = {"start": ndl.Tensor(START), "true parameters": ndl.Tensor(TRUE), "fitted": fitted}
    for name, theta in fits.items():
        predicted, recalled = calibration(theta, *test)
        error = np.sqrt(np.mean((predicted - recalled) ** 2))
        loss = log_loss(theta, *test).item()
        print(f"{name}: log-loss {loss:.4f} on new histories, calibration error {error:.2%}")
    print(f"{options.cards} histories of {options.reviews} reviews, fitted in {seconds:.1f} s")
    if options.plot:
        plot(options.plot, fits, *test)


if __name__ == "__main__":
    main()
