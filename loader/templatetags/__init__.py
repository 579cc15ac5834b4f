"""Template tags of the loader."""
