"""Two views of an image, their loss, and the gradient of every image."""
