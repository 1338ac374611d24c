"""Runs the probe at power-on."""

from sensor.app import main

main()
