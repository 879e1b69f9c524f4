"""``slowfast prepare-data``: one module a sub-command over the functions of slowfast.preparation."""
