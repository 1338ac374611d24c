"""What is frozen into the image: the port's own modules and the probe's."""

include("$(PORT_DIR)/boards/manifest.py")  # noqa: F821
include("../manifest.py")  # noqa: F821
