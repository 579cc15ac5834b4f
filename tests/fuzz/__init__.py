"""Fuzzing: what reads text from outside meets inputs that nobody wrote (`make fuzz`), and each that once failed ever after.

A file in `targets` is one target: `check(data)` gives an input to the code and raises whatever is wrong, and may have
`prepare()`, called once, for what must be there before. `corpus/<target>` holds its inputs: seeds, and what once failed.
"""
