"""The recorded runs, as TensorBoard hands them over."""
