"""One pass over a feed: what is due is fetched, parsed, inserted and recorded."""
