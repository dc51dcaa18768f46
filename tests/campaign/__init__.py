"""What the library survives: kills, neighbours, a full disk, damaged files; `python -m tests.campaign` runs it."""
