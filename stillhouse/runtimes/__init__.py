"""Where a student may run outside of this library: one file for each runtime, and what is written for it."""
