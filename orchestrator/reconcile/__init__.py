"""What is lost or left over is found and mended."""
