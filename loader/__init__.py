"""From a bucket of FASTA files into findNeighbour4."""
