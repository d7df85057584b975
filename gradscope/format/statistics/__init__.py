"""Declarations of all statistics, one family of rows a module."""
