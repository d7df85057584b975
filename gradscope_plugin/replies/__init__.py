"""The answers of the routes, with a module for each route."""
