"""Two kinds of failure: what will never work, and what may work later."""


class RekiError(Exception):
    """Base of every error that REKI raises on purpose.

    `reason` is a short stable word for dead letters and metrics; `message` names what was wrong and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class TerminalError(RekiError):
    """Will fail again however often it is tried: dead-letter it and move on."""


class TransientError(RekiError):
    """May succeed later: wait in place, reorder nothing.

    `retry_after_s` is the other side's own wish (a Retry-After header), if it had one.
    """

    def __init__(self, reason: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after_s = retry_after_s
