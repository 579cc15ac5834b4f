"""FASTA files: parsing and validation."""
