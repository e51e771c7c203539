"""Benches of the RTL's modules, in Python, with cocotb and Verilator: `runner.run_bench` builds and runs one.

The bench of a module is the file `bench_<module>.py`; it runs inside the simulator. Its `SETUP` holds the parameters
with which the tests run it (`setup.py`). `common` holds clock, reset and streams, `instructions` and `lists` random
instructions, `structs` the packed structs of the RTL; expected words come from the oracle (`sim/oracle/`). Wrappers and
checkers in SystemVerilog are next to their bench.
"""
