"""How a device finds out that something is wrong: test pictures, criteria, read-outs and schedules."""
