"""Whole programs of others, run as they are: plain, with `Callback`, with
`wrap`; and what differs."""
