"""What the demo says of its release: what it was measured on, and no figure of users it was trained on."""

from reki.sample_release import worth
from tests.release import tiny

METRICS = {
    "auc_folds": 0.80175,
    "auc_folds_without_knowledge": 0.76553,
    "auc_kept_out": 0.7971,
    "auc_kept_out_without_knowledge": 0.75839,
}


def test_the_line_says_on_whom_each_figure_was_measured(tmp_path):
    release = tiny.write(tmp_path, metrics=METRICS, training={"users_kept_out": 20})
    assert worth(release) == (
        "AUC 0.8017, without knowledge 0.7655 (folds, on users not trained on); "
        "on the demo's 20 people, not trained on either, 0.7971 and 0.7584"
    )
