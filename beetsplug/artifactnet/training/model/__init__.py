"""The network, what its branches count for, and its export to one ONNX file."""
