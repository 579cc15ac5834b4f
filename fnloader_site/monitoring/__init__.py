"""For monitors: concerns of all apps, health, metrics."""
