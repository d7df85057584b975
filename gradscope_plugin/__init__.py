"""TensorBoard plugin of gradscope. Importing it never imports TensorFlow."""
