"""Every way to compute a frozen model, under one interface, and their comparison."""

ENGINES = ("program", "hls", "rtl")
"""The levels that execute the build's program, each on an engine of that name: see `engines.open_engine`."""

LEVELS = ("golden", "torch", "onnx", *ENGINES)
"""All levels of the verification ladder. The others are compared with the first."""
