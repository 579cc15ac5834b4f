"""One target a file; its name is that of its folder in the corpus."""
