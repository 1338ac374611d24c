"""Boots the firmware as main.py does, with the test's line beside it."""

import asyncio
import gc
import sys

import control

control.connect()
import esp32
import sensor

sensor.BUILD = esp32.boot_loader()
from sensor import app as sensor_app

app = sensor_app.build()
if hasattr(getattr(app, "radio", None), "inject"):  # the C module's, in a host build
    control.handlers["air"] = lambda message: [
        app.radio.inject(bytes.fromhex(row[0]), *row[1:]) for row in message["frames"]
    ]
control.names.update(app=app, gc=gc, sys=sys, sensor=sensor, sensor_app=sensor_app)
gc.collect()
asyncio.create_task(control.serve())
control.say(booted=True)
asyncio.run(app.run())
