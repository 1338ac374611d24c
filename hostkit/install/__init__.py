"""What an installer does: sites, boards, images, settings, proof over the uplink. Linux, macOS and Windows alike."""
