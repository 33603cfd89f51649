"""The built-in algorithms, one module each, and the catalogue of images that stand for them."""
