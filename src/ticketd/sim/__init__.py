"""The scheduler under a virtual clock: scripted durations and failures, no process, no file, no wall time. Pure."""
