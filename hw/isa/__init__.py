"""The instruction set: fields, memories, registers, program files, and what is generated from them."""
