"""What is published about our formats is what we write: schemas of manifests, of key lists, and of what each command prints with --json."""

import json
from typing import Any

import fastavro
import pytest
import typer.main
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from jobs.docs import reference
from jobs.lefi import app
from jobs.schemas import files
from schemas.summaries import BY_COMMAND, require_summary, schema_of
from tests.kit import ANNA, ROOT, World

PUBLISHED = ROOT / "docs" / "schemas"
CLI: Any = typer.main.get_command(app)


def validated(document: Any, schema: Any) -> None:
    """Hold a document against a schema, formats too."""
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)


def test_what_is_published_is_what_the_code_says() -> None:
    """`make docs` makes it anew."""
    found = {str(path.relative_to(PUBLISHED)): json.loads(path.read_text("utf-8")) for path in PUBLISHED.rglob("*.*")}
    assert found == {name: json.loads(json.dumps(content)) for name, content in files()}
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == reference()


@pytest.mark.parametrize("command", CLI.commands)
def test_every_command_has_json_and_a_schema(command: str) -> None:
    assert "--json" in [opt for parameter in CLI.commands[command].params for opt in parameter.opts]
    Draft202012Validator.check_schema(schema_of(command))


def test_no_schema_is_of_a_command_that_is_none() -> None:
    assert BY_COMMAND.keys() == CLI.commands.keys()


def test_manifests_and_summaries_are_as_published(world: World) -> None:
    schemas = world.root.with_name("schemas")
    world.partner("BOLAGET", "FK:SJP", "FK:TFP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:TFP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.fact("FK:SJP", ANNA, "wrong", period_from="2024-05-02", period_to="2024-05-01")
    ran = world.night("2024-05-21", but=["FK:TFP"])
    world.root, root = schemas, world.root
    world.lefi("schemas")
    world.root = root
    read = {str(path.relative_to(schemas)): json.loads(path.read_text("utf-8")) for path in schemas.rglob("*.*")}
    validated(world.manifest("BOLAGET"), read["manifest.schema.json"])
    validated(ran.json, read["commands/nightly.schema.json"])
    validated(world.lefi("status", "--json").json, read["commands/status.schema.json"])
    validated(world.lefi("reconcile", "--json").json, read["commands/reconcile.schema.json"])
    validated(world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, "--json").json, read["commands/explain.schema.json"])
    with pytest.raises(ValidationError):
        validated(ran.json | {"run": 1}, read["commands/nightly.schema.json"])
    with pytest.raises(ValidationError):
        validated(world.manifest("BOLAGET") | {"more": 1}, read["manifest.schema.json"])
    for path in sorted((schemas / "avro").glob("*.avsc")):
        fastavro.parse_schema(json.loads(path.read_text("utf-8")))


def test_a_key_that_is_not_published_is_found() -> None:
    """The kit holds each output of every test against its type; this shows that it can fail."""
    sound = {"workspace": "ws", "buckets": 4}
    require_summary("init", json.dumps(sound))
    for wrong in ({"workspace": "ws"}, sound | {"more": 1}, sound | {"buckets": "many"}):
        with pytest.raises(ValueError, match="validation error"):
            require_summary("init", json.dumps(wrong))
