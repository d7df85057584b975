"""Real programs that went wrong, each with the repair that helped.

Each was met by somebody: its source is a public thread. Their kinds are left
empty until the rules are tuned, so that no rule is made for them.
"""
