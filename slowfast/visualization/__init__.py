"""Pictures, plots and videos for people."""
