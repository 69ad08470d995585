"""Exporters of two published detectors, from weights that the user has, to model folders.

``python -m beetsplug.artifactnet.exporters DETECTOR --weights FILE --out DIR`` writes a
``model.onnx`` and a ``card.json``, which ``beet aimodel install`` takes. The networks are
written from the papers; no code of theirs is used, and none of their weights come along.
"""

import os

# ``transformers`` brings a hub client along. Nothing here asks a hub for anything: it is kept
# from going online, and from telling anyone that it is used. Each of these packages reads its
# variables once, when it is imported.
for _name in (
    "HF_HUB_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "ORT_DISABLE_TELEMETRY",
):
    os.environ.setdefault(_name, "1")
