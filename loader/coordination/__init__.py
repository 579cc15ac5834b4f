"""Who may insert into a server now: lease, turns, and clocks."""
