"""The built-in corpus of voice commands, made by a grammar."""
