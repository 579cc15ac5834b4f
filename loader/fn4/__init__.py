"""findNeighbour4: its REST API, its answers, and the insert."""
