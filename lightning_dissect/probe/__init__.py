"""What the network is probed with: images by sample id, and concepts."""
