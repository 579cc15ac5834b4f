"""Who may insert into a server: lease, turns and clocks."""
