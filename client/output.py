"""Documents for programs, written as JSON or YAML; the only user of yaml in the client, and each is loaded when it is used."""

import sys

from ..core.visible import has_hidden, visible_in_json


def json_document(document: object) -> str:
    """Write a document as indented JSON; what a terminal might obey is escaped."""
    import json

    return visible_in_json(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)) + "\n"


def json_line(document: object) -> str:
    """Write a document as one line of JSON."""
    import json

    return visible_in_json(json.dumps(document, ensure_ascii=False, allow_nan=False)) + "\n"


def yaml_document(document: object) -> str:
    """Write a document as YAML; texts that look like something else are quoted."""
    import yaml

    text: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, default_flow_style=False)
    if has_hidden(text):
        # YAML escapes control characters by itself, but not the overrides of writing direction.
        text = yaml.safe_dump(document, allow_unicode=False, sort_keys=False, default_flow_style=False)
    return text


def print_document(document: object, form: str) -> None:
    """Print one document on stdout as ``json`` or ``yaml``."""
    sys.stdout.write(yaml_document(document) if form == "yaml" else json_document(document))
