"""What a run leaves behind and what both sides read: run record, hashes, git, processes."""
