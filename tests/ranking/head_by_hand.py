"""The head's columns of one user and one candidate, written down one formula at a time in numpy (f64)."""

import numpy as np

from ranking import regression as r

KERNELS = {"knowledge": (0.05, 0.15), "collaborative": (0.1, 0.3)}


def cosine(one, other):
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length else 0.0


def smooth(likeness, values, space):
    """Kernel averages of `values`, one per temperature; 0 where there are none."""
    if not len(values):
        return [0.0] * len(KERNELS[space])
    columns = []
    for tau in KERNELS[space]:
        weights = np.exp((likeness - np.max(likeness)) / tau)
        columns.append(float(weights @ values / weights.sum()))
    return columns


class ByHand:
    """`columns` of candidate `place` of user `user` in a batch of the ranker's tensors."""

    def __init__(self, head, batch, user, place):
        self.table = {name: tensor.double().numpy() for name, tensor in head.state_dict().items()}
        self.user = {name: t[user].double().numpy() for name, t in batch.items() if not name.startswith("item_")}
        self.item = batch["item_vec"][user, place].double().numpy()
        self.index = int(batch["item_index"][user, place])
        self.ids = [int(index) for index in self.user["hist_index"] if index > 0]
        self.rows = [row for row, index in enumerate(self.user["hist_index"]) if index > 0]
        self.values = self.user["hist_value"][self.rows]
        self.vec = self.user["hist_vec"][self.rows]
        self.surprise = self.values - (self.values.mean() if self.rows else 0.0)

    def columns(self):
        found = {
            "experienced": self.sides("user_experienced"),
            "expected": self.sides("user_expected"),
            "statistics": list(self.user["user_stats"][:-1]),
            "since": [self.user["user_stats"][-1]],
        }
        liked, disliked = np.split(np.array(found["experienced"]), 2)
        found["experienced_mean"] = [liked.mean(), disliked.mean()]
        found |= self.neighbourhood() | self.anchors()
        if "taste" in self.table:
            found |= self.collaborative() | {"items": list(self.table["items"][self.index])}
            found |= {name: [self.regression(name)] for name in r.REGRESSIONS}
        return found

    def sides(self, name):
        return [cosine(side[f], self.item[f]) for side in self.user[name] for f in range(len(self.item))]

    def neighbourhood(self):
        known = [row for row, vec in enumerate(self.vec) if vec.any()]
        values = self.surprise[known]
        likeness = np.array([(self.vec[row] * self.item).sum(-1) for row in known]).reshape(len(known), len(self.item))
        spaces = [*likeness.T, 2 * likeness.mean(1)]
        made = np.array([smooth(space, values, "knowledge") for space in spaces])  # [F + 1, taus]
        return {"neighbourhood": list(made.T.ravel()), "neighbourhood_mean": list(made[-1])}

    def anchors(self):
        said = self.user["user_anchors"]
        known = np.flatnonzero(said > 0)
        above = said[known] - self.table["anchor_means"][known]
        level = above.mean() if len(known) else 0.0
        centred = above - level
        texts = (self.table["anchor_vec"][known] * self.item).sum((-1, -2)) / len(self.item)
        itself = centred[self.table["anchor_index"][known] == self.index]
        return {
            "anchors_level": [level],
            "anchors_knowledge": smooth(texts, centred, "knowledge"),
            "anchors_collaborative": smooth(self.table["anchor_likeness"][self.index][known], centred, "collaborative"),
            "anchors_itself": [itself.sum()],
        }

    def collaborative(self):
        table = self.table["collaborative"]
        known = [row for row, index in enumerate(self.ids) if table[index].any()]
        vec, mine = table[[self.ids[row] for row in known]], table[self.index]
        liked = self.values[known] > 3.5
        sides = [cosine(vec[side].sum(0), mine) for side in (liked, ~liked)]
        return {"collaborative": sides + smooth(vec @ mine, self.surprise[known], "collaborative")}

    def regression(self, name):
        """Equation 2.25 of Rasmussen and Williams; what is absent has a noise of 1e4, which is as good as nothing."""
        spaces, said = r.REGRESSIONS[name]
        table, seen = self.table, []

        def places(index, vec):
            return {"told": vec.ravel(), "shared": table["taste"][index]}

        for row, index in enumerate(self.user["hist_index"].astype(int)):
            surprise = self.user["hist_value"][row] - 3.5 - table["items"][index][0]
            where = places(index, self.user["hist_vec"][row])
            seen.append((where, surprise, r.NOISE, row + 1) if index > 0 else (where, 0.0, 1e4, row + 1))
        if said:
            for mean, surprise in zip(self.user["user_expected"], (1.0, -1.0), strict=True):
                where = {"told": mean.ravel(), "shared": mean.ravel() @ table["told_taste"]}
                seen.append((where, surprise, r.EXPECTED_NOISE, None) if mean.any() else (where, 0.0, 1e4, None))
            for row, value in enumerate(self.user["user_anchors"]):
                where = places(max(int(table["anchor_index"][row]), 0), table["anchor_vec"][row])
                above = value - table["anchor_means"][row]
                seen.append((where, above, r.ANCHOR_NOISE, None) if value > 0 else (where, 0.0, 1e4, None))
        scale = {"told": r.KNOWLEDGE / len(self.item), "shared": 1.0}

        def covariance(one, other):
            (x, at), (y, then) = one, other
            value = r.LEVEL + sum(scale[space] * float(x[space] @ y[space]) for space in spaces)
            if at is None and then is None:
                value += r.ANCHOR_LEVEL
            if at is not None and then is not None:
                value += r.DRIFT * np.exp(-abs(at - then) / r.DRIFT_LENGTH)
            return value

        placed = [(one[0], one[3]) for one in seen]
        among = np.array([[covariance(one, other) for other in placed] for one in placed])
        among += np.diag([one[2] for one in seen])
        now = np.array([covariance(one, (places(self.index, self.item), 0)) for one in placed])
        return float(now @ np.linalg.solve(among, [one[1] for one in seen]))
