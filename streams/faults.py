"""Named places where a test may crash the process, as in the table of crash windows (docs/streams.md)."""

import logging
import os

log = logging.getLogger(__name__)
EXIT_CODE = 9


class Faults:
    """Does nothing unless the settings name a point: then the n-th passing of it ends the process at once.

    E1 polled, not applied; E2 some users of the batch applied; E3 applied, nothing projected; E4 online rows written,
    offline rows in the buffer; E5 rows written, no mark and no decision; E5c everything written, not committed;
    E6 dead letter sent, not acknowledged; E10 stub written, nothing deleted.
    """

    def __init__(self, point: str = "", after: int = 1) -> None:
        self._point = point
        self._left = after

    def hit(self, point: str) -> None:
        """Crash here, if the test says so."""
        if point == self._point:
            self._left -= 1
            if self._left <= 0:
                os._exit(EXIT_CODE)

    def active(self, point: str) -> bool:
        """Whether the next `hit(point)` crashes."""
        return point == self._point and self._left <= 1
