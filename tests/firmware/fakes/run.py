"""Boots the firmware as main.py does, with the test's line beside it."""

import asyncio
import gc
import sys

import control

control.connect()
from sensor import app as sensor_app

app = sensor_app.build()
control.names.update(app=app, gc=gc, sys=sys)
gc.collect()
asyncio.create_task(control.serve())
control.say(booted=True)
asyncio.run(app.run())
