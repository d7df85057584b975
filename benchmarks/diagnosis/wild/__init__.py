"""Faults that people reported, each as a small program of its own."""
