"""Helpers of `Callback`: the data of `fit`, and the program that records."""
