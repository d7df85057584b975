"""The answers of the routes: a module for each, and shared code."""
