"""The command `gradscope`, with a module for each of its larger subcommands."""
