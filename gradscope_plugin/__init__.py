"""TensorBoard plugin of gradscope; imports no TensorFlow."""
