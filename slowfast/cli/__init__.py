"""The command line: one module a command, each with ``main(argv=None)``; ``tools/`` and ``slowfast`` call them."""
