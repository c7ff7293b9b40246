"""Holds events against the committed schemas, as a reader in another language would.

Usage: validate.py DOCS < events, one JSON document a line. DOCS is docs/events. Every event must fit
the envelope and the schema of its type and version. The AsyncAPI documents' own examples must fit
the schemas that stand beside them. Prints each fault; exits 1 when there is any.
"""

import json
import pathlib
import sys

from jsonschema_rs import Draft202012Validator, validator_for

docs = pathlib.Path(sys.argv[1])
faults = 0


def told(what, validator, instance):
    global faults
    for error in validator.iter_errors(instance):
        faults += 1
        print(f"{what}: {error.message} at {'/'.join(map(str, error.instance_path))}")


def validator(name):
    schema = json.loads((docs / "schemas" / f"{name}.json").read_text())
    return Draft202012Validator(schema, validate_formats=True)


validators = {}
count = 0
for line in sys.stdin:
    event = json.loads(line)
    count += 1
    name = f"{event['type']}.v{event['schemaVersion']}"
    for part, instance in (("envelope.v1", event), (name, event["payload"])):
        if part not in validators:
            validators[part] = validator(part)
        told(f"{name} at {event['position']}", validators[part], instance)

examples = 0
for path in sorted((docs / "asyncapi").glob("*.json")):
    document = json.loads(path.read_text())
    for name, message in document["components"]["messages"].items():
        for part in ("headers", "payload"):
            place = f"#/components/messages/{name}/{part}"
            schema = {"$ref": place, "components": document["components"]}
            check = validator_for(schema, validate_formats=True)
            for example in message["examples"]:
                examples += 1
                told(f"{path.name} {name} {example['name']} {part}", check, example[part])

print(f"{count} events and {examples} examples, {faults} faults")
sys.exit(1 if faults else 0)
