"""The operations of ``slowfast prepare-data``, as plain functions: lists, checks, smaller copies, frames, person
boxes."""
