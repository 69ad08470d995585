"""The commands, one module each: options in, calls, printed lines out."""
