"""What `Callback` needs besides: `fit`'s data, and its second program."""
