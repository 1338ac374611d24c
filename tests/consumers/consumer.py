"""A consumer in Python with paho and jsonschema alone: hears a broker, holds every message against its schema.

`consumer.py PORT CONTRACT`: CONTRACT is a folder of schemas and topics.json, as `footfall contract show` prints them.
It says `ready`, and at the end of its input how many messages of each stream came and what was wrong.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import paho.mqtt.client as mqtt

port, folder = int(sys.argv[1]), Path(sys.argv[2])
rows = json.loads((folder / "topics.json").read_text("utf-8"))
checks = {
    path.stem: jsonschema.Draft202012Validator(json.loads(path.read_text("utf-8")))
    for path in folder.glob("*.json")
    if path.stem != "topics"
}
seen: Counter[str] = Counter()
faults: list[str] = []


def row_of(stream: str) -> dict:
    return next(row for row in rows if re.fullmatch(re.sub("<[^>]*>", "[a-z0-9-]+", row["stream"]), stream))


def on_message(_: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
    row = row_of(message.topic.split("/", 5)[5])
    seen[row["stream"]] += 1
    if row["content"] == "batch":
        return
    document = message.payload.decode() if row["content"] == "text" else json.loads(message.payload)
    faults.extend(f"{message.topic}: {error.message}" for error in checks[row["schema"]].iter_errors(document))


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_message = on_message
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", port)
client.subscribe("footfall/v1/#", qos=1)
client.loop_start()
sys.stdin.read()
client.loop_stop()
print(json.dumps({"seen": seen, "faults": faults[:20]}))
