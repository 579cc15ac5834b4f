"""One pass over a feed: fetch, parse, insert and record what is due."""
