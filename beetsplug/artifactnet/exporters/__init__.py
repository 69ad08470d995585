"""Exporters of two published detectors, from weights that the user has, to model folders.

``python -m beetsplug.artifactnet.exporters PEER --weights FILE --out DIR`` writes a
``model.onnx`` and a ``card.json``, which ``beet aimodel install`` takes. The networks are
written from the papers; no code of theirs is used, and none of their weights come along.
"""
