"""Benches of the RTL's modules, in Python, with cocotb and Verilator: `runner.run_bench` builds and runs one.

The bench of a module is the file `bench_<module>.py`; it runs inside the simulator. What benches share is in `common`.
A wrapper or checker that must be SystemVerilog is next to its bench.
"""
