"""More real programs that went wrong, and healthy ones that look odd.

Each fault was met by somebody: its source is a public thread. They were
written by somebody who knows neither the rules nor the findings. Their kinds
were chosen before any run, from the meanings in docs/findings.md alone: a kind
is right if what it says is so, is so of the broken program and not of the
repaired one, and is the cause or the way in which it does its harm. A fault
without such a kind has none.
"""
