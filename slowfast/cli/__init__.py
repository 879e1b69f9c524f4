"""The command line: one module a command, each with ``build_parser()`` and ``main(argv=None)``."""
