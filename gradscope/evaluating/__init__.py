"""Computing beside a training: `probe`, `check`, `same`, and their results."""
