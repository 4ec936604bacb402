"""The regression learns what a user says (its formula is tested with the head's, in test_head.py)."""

import torch

from ranking.regression import REGRESSIONS, Observed, Space, expected_surprise, guesses, needs

B, K, N, R = 2, 5, 4, 6
NAMES = ("level", "taste_knowledge", "taste_collaborative", "taste")


def spaces(own):
    return {name: Space(own, torch.randn(len(own), N, R)) for name in ("told", "shared")}


def test_a_user_of_whom_nothing_is_known_is_guessed_at_the_usual():
    observed = Observed(torch.randn(1, K), torch.zeros(1, K, dtype=torch.bool), K)
    for guess in guesses(NAMES, observed, spaces(torch.zeros(1, K, R)), N).values():
        assert torch.equal(guess, torch.zeros(1, N, 1))


def test_the_newest_values_say_most_about_the_level():
    surprise = torch.zeros(2, K)
    surprise[0, 0] = surprise[1, K - 1] = 1.0  # the newest, the oldest
    made = guesses(("level",), Observed(surprise, torch.ones(2, K, dtype=torch.bool), K), {}, 1)
    newest, oldest = made["level"].flatten()
    assert newest > oldest > 0


def test_what_is_liked_lifts_what_is_like_it_and_an_expected_dislike_lowers_it():
    own = torch.zeros(1, K + 2, R)
    own[0, 0, 0] = own[0, K + 1, 1] = 2.0  # one liked item, one expected dislike
    candidates = torch.zeros(1, 3, R)
    candidates[0, 0, 0] = candidates[0, 1, 1] = 2.0
    present = torch.zeros(1, K + 2, dtype=torch.bool)
    present[0, 0] = present[0, K + 1] = True
    surprise = torch.cat([torch.ones(1, K), expected_surprise(torch.device("cpu"))], dim=1)
    made = guesses(
        ("taste_knowledge", "anchored_knowledge"),
        Observed(surprise, present, K, 2),
        {"told": Space(own, candidates)},
        3,
    )
    liked, disliked, neither = made["taste_knowledge"].flatten()
    assert liked > disliked == neither
    liked, disliked, neither = made["anchored_knowledge"].flatten()
    assert liked > neither > disliked


def test_the_order_of_the_names_changes_no_guess():
    torch.manual_seed(1)
    observed = Observed(torch.randn(B, K), torch.ones(B, K, dtype=torch.bool), 3, 1)
    where = spaces(torch.randn(B, K, R))
    forth, back = (guesses(names, observed, where, N) for names in (tuple(REGRESSIONS), tuple(REGRESSIONS)[::-1]))
    for name in REGRESSIONS:
        torch.testing.assert_close(forth[name], back[name])


def test_no_vectors_are_asked_for_that_no_regression_compares():
    assert needs(("level",)) == (False, False, False)
    assert needs(("level", "taste_collaborative")) == (False, True, False)
    assert needs(("anchored_knowledge",)) == (True, False, True)


def test_what_was_made_in_inference_mode_serves_training_too():
    observed = Observed(torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool), 3)
    with torch.inference_mode():
        guesses(("level",), observed, {}, 1)
    weight = torch.ones(1, requires_grad=True)
    (guesses(("level",), observed, {}, 1)["level"] * weight).sum().backward()
    assert weight.grad > 0


def test_what_is_absent_counts_as_good_as_nothing():
    torch.manual_seed(2)
    own, surprise = torch.randn(1, K, R) / 3, torch.randn(1, K)
    present = torch.arange(K) < 3
    where = {"told": Space(own, torch.randn(1, N, R))}
    made = guesses(("taste_knowledge",), Observed(surprise, present.unsqueeze(0), K), where, N)
    less = {"told": Space(own[:, :3], where["told"].candidates)}
    wanted = guesses(("taste_knowledge",), Observed(surprise[:, :3], present[None, :3], 3), less, N)
    torch.testing.assert_close(made["taste_knowledge"], wanted["taste_knowledge"], atol=1e-3, rtol=1e-3)
