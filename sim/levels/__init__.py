"""Every way to compute a frozen model, under one interface, and their comparison."""

ENGINES = ("program", "hls", "rtl")
"""The levels that execute the build's program, each on an engine of that name: see `engines.open_engine`."""

VIRTUAL = "virtual"
"""The level that executes the build's program on a virtual board, through the driver of real ones.

`deploy.virtual` opens its engine, and `verify` takes it as a further one, because `sim` does not import `deploy`."""

LEVELS = ("golden", "torch", "onnx", *ENGINES)
"""All levels of the verification ladder. The others are compared with the first."""
