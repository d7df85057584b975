"""The command `gradscope`, with a module for each of its larger subcommands.

`main` parses the arguments; `run_reading` reads runs for several subcommands.
"""
