"""Runs the checks of the modules named as arguments under MicroPython; one line each on stdout."""

import os
import sys

os.chdir(sys.argv[1])
for name in sys.argv[2:]:
    module = __import__("both." + name, None, None, ("*",))
    for check in dir(module):
        if check.startswith("check_"):
            try:
                getattr(module, check)()
                print("ok", name, check)
            except Exception as error:
                print("FAILED", name, check)
                sys.print_exception(error, sys.stdout)
