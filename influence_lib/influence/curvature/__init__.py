"""The curvature in which a gradient is measured: approximations of H, and the passes that fit them and score."""
