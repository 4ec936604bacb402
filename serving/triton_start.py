"""Checks that every model makes before it serves. numpy and the standard library: this runs inside Triton."""

from typing import Any

import numpy as np


def check_start(pb_utils: Any) -> None:  # noqa: ANN401 - the module exists only inside Triton
    """Refuse to start where Triton's python backend would read or send wrong numbers without a word.

    With numpy 2 this backend reads zeros and sends empty tensors. A known tensor goes through its own conversion
    in both directions. Raises `pb_utils.TritonModelException`.
    """
    if int(np.__version__.split(".")[0]) >= 2:
        raise pb_utils.TritonModelException(
            f"numpy {np.__version__} in the Triton environment: its python backend silently reads zeros with numpy 2 "
            "or newer. Install locks/triton.txt (numpy 1.26)."
        )
    known = np.array([[1.5, -2.0, 3e-40]], np.float32)
    for sent in (known, np.array([[b"reki", b""]], np.object_)):
        tensor = pb_utils.Tensor("echo", sent)
        if sent is known:
            tensor = pb_utils.Tensor.from_dlpack("echo", tensor.to_dlpack())
        back = tensor.as_numpy()
        if back.shape != sent.shape or not np.array_equal(back, sent):
            raise pb_utils.TritonModelException(
                f"a known tensor came back as {back!r}: set the Triton environment up anew"
            )
