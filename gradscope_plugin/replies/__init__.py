"""The answers of the routes: a module for each, and what they share."""
