"""``slowfast prepare-data``: one module per subcommand, over the functions of slowfast.preparation."""
