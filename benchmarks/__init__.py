"""What gradscope costs, as ratios that were measured in one run."""
