import pytest

from knowledge.base import TerminalError
from knowledge.catalogue import Catalogue, recorded_catalogue


def test_the_recorded_catalogue_has_the_forty_anchors_in_the_order_of_the_records():
    catalogue = recorded_catalogue()
    assert len(catalogue.anchors) == 40
    assert catalogue.anchors[:3] == ("50", "100", "258")
    assert len(catalogue.shortlist) == 560
    assert set(catalogue.anchors) < set(catalogue.shortlist)


def test_a_trimmed_catalogue_keeps_the_anchors_and_has_its_own_version():
    whole = recorded_catalogue()
    short = whole.trimmed(60)
    assert len(short.shortlist) == 60
    assert set(short.anchors) <= set(short.shortlist) <= set(whole.shortlist)
    assert short.anchors == whole.anchors
    assert short.version != whole.version
    assert short == whole.trimmed(60)
    assert whole.trimmed(560) is whole


def test_a_longer_trim_contains_the_shorter_so_that_growing_it_voids_little():
    whole = recorded_catalogue()
    assert set(whole.trimmed(60).shortlist) < set(whole.trimmed(100).shortlist)


def test_items_without_a_title_are_not_offered():
    known = Catalogue("v", ("1", "2"), ("1", "2", "3")).known({"2": "b", "3": "c"})
    assert known.anchors == ("2",)
    assert known.shortlist == ("2", "3")


def test_no_titles_at_all_is_an_error_that_says_so():
    with pytest.raises(TerminalError) as caught:
        Catalogue("v", ("1",), ("1", "2")).known({})
    assert caught.value.reason == "no_titles"


@pytest.mark.parametrize(("anchors", "shortlist"), [((), ("1",)), (("1",), ()), (("1", "1"), ("1",))])
def test_an_empty_or_doubled_catalogue_is_refused(anchors, shortlist):
    with pytest.raises(TerminalError):
        Catalogue("v", anchors, shortlist)


def test_an_id_that_is_none_is_refused():
    with pytest.raises(TerminalError) as caught:
        Catalogue("v", ("1",), ("1", "two words"))
    assert caught.value.reason == "bad_id"
