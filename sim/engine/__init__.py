"""The program simulator: the engine's units in numpy, one instruction at a time."""
