"""Networks whose features the perceptual losses compare, and their weights."""
