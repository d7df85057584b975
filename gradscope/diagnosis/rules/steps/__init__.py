"""Rules about the optimizer's steps."""
