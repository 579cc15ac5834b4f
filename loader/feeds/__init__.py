"""What can be done with a feed: add, pause, resume, test, retry, remove."""
