"""So many batches of 30 records from ring to socket, with nothing else running: prints heap growth, records, sent."""

import gc
import sys

import dot11cap
from parts import RECORDS, Path

COUNT = int(sys.argv[1])
way = Path(dot11cap.Ear())
held = []
for number in range(COUNT):
    way.ear.hear(RECORDS)
    way.pass_on()
    if number in (COUNT // 2, COUNT - 1):
        gc.collect()
        held.append(gc.mem_alloc())
print(held[-1] - held[0], way.capture.kept, way.counts.passed["sent"])
