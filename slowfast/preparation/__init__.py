"""What ``slowfast prepare-data`` does, as plain functions: lists, checks, smaller copies, frames, person boxes."""
