"""Tables of a trained model, and programs that measure it."""
