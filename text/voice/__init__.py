"""The built-in corpus of voice commands, generated from a grammar."""
