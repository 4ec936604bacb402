"""Run the refresh worker as its own process: `python refresh_main.py SETTINGS_JSON`."""

import json
import logging
import sys

sys.modules["torch"] = None  # no encoder in these tests, and half a gigabyte less

from feature_repo.settings import FeatureSettings  # noqa: E402
from knowledge.catalogue import recorded_catalogue  # noqa: E402
from knowledge.settings import KnowledgeSettings  # noqa: E402
from knowledge.source import open_source  # noqa: E402
from streams import refresh_app  # noqa: E402
from streams.release_parts import RefreshRelease  # noqa: E402
from streams.settings import StreamSettings  # noqa: E402
from streams.titles import OnlineTitles  # noqa: E402
from tests.streams_refresh.parts import RELEASE, SHAPE, HashCondenser  # noqa: E402

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    given = json.loads(sys.argv[1])
    catalogue = recorded_catalogue()
    titles = OnlineTitles(catalogue.anchors + catalogue.shortlist)
    refresh_app.run(
        StreamSettings(**given["streams"]),
        FeatureSettings(**given["features"]),
        RefreshRelease(RELEASE, catalogue.anchors, SHAPE, HashCondenser()),
        open_source(KnowledgeSettings(**given["knowledge"]), titles),
        titles,
    )
