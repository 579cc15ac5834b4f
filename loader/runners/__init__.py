"""Who runs passes: the command for ever, all feeds side by side, and jobs."""
