"""OpenVINO without its reports home: import it from here and nowhere else.

`import openvino` sends usage events over the network when the package `openvino_telemetry` is
installed, which OpenVINO's own wheel requires. Seen as missing, it is replaced by a stub that
sends nothing.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino import opset15 as ops  # noqa: E402

__all__ = ["openvino", "ops"]
