"""What the routes answer: one module for each of them."""
