import pytest

from tests.serving.world import ITEMS

pytestmark = pytest.mark.services


def test_smoke(client, catalogue):
    answer = client.recommend("nobody", ITEMS[:3])
    print(answer)
    assert len(answer.scores) == 3
