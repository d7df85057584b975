"""The contract of writer and reader: what a record holds, and in which order.

Needs numpy alone, so that whoever reads a record needs no TensorFlow.
"""
