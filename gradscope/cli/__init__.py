"""The `gradscope` command: one module for each of its verbs."""
