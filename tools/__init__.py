"""Programs for those who work on gradscope; none of them is installed."""
