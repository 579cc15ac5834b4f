"""FASTA files: reading, and everything that can be wrong with one."""
