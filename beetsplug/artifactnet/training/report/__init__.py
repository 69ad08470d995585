"""What is told of a trained model: tables, and programs that measure it."""
