"""The pages of feeds, files, attempts and batch loads."""
