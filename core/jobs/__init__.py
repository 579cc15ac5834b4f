"""Background jobs: the decorator of a job, and the cluster that runs them."""
