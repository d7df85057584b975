"""From event files to a `Record`; needs no TensorFlow."""
