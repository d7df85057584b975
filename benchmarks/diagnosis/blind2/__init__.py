"""More real programs that went wrong, and healthy ones that look odd.

Each fault was met by somebody: its source is a public thread. They were
written by somebody who knows neither the rules nor the findings, so their
kinds are empty.
"""
