"""Proofs about the stream primitives of the RTL: `prove.prove` runs yosys, yosys-smtbmc and z3.

The properties of a module are in `<module>.svh`: text that stands at the end of the module, so that they see its
registers (the open front end of yosys knows no `bind`).
"""
