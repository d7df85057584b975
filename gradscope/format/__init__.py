"""The contract of writer and reader: rows, columns and order of a record.

Needs numpy alone, so that whoever reads a record needs no TensorFlow.
"""
