"""The schema of the settings as a validator of JSON Schemas sees it: it takes the files that the server
takes, and refuses what a schema can know to be wrong.
  schema.py ATTUNE DATA"""
import json, pathlib, re, subprocess, sys

try:
    import jsonschema, yaml
except ImportError:
    print("skipped: install python3-jsonschema and python3-yaml")
    sys.exit(77)

attune, data = sys.argv[1], pathlib.Path(sys.argv[2])


def said(*words):
    return subprocess.run([attune, "config", *words], check=True, capture_output=True, text=True).stdout


schema = json.loads(said("schema"))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
bad = 0


def judge(name, text, good):
    global bad
    errors = list(validator.iter_errors(yaml.safe_load(text)))
    if bool(errors) == good:
        print(name, "is refused:" if good else "is taken", errors[:1])
        bad += 1


example = said("example")
judge("the example", example, True)
judge("the example with all settings", re.sub(r"^#(?=[^ ]|  )", "", example, flags=re.M), True)
for path in sorted((data / "config-valid").glob("*.yaml")):
    judge(path.name, path.read_text(), True)
for name in ("unknown-key", "number-with-a-fraction", "too-small", "too-large", "negative", "word-misspelt",
             "list-for-a-number", "map-for-a-text", "list-at-the-top", "camera-id-in-capitals", "cameras-in-a-list",
             "camera-key-misspelt", "defaults-key-misspelt", "text-too-long", "bool-in-german"):
    path = next((data / "config-broken").glob(f"[0-9][0-9]-{name}.yaml"))
    judge(path.name, path.read_text(), False)
sys.exit(bad > 0)
