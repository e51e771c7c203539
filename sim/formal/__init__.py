"""Formal proofs of the stream primitives of the RTL: `prove.prove` runs yosys, yosys-smtbmc and z3.

The properties of a module are in `<module>.svh`, text that is inserted at the end of the module, where its registers
are visible (the front end of yosys does not support `bind`).
"""
