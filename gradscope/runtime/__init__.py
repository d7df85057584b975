"""TensorFlow as the rest needs it: graphs, names, variables, replicas."""
