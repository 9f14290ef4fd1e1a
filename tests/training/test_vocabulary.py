"""What the demo model is said to know."""

from importlib.resources import files

from pipelet.wiring.catalog_parser import parse
from training.vocabulary import vocabulary


def test_the_catalog_names_what_the_demo_model_was_trained_on() -> None:
    """Forms show the list, so a person who uses its words gets what they name."""
    catalog = parse((files("pipelet") / "catalog.toml").read_text("utf-8"))
    assert tuple(thing.name for thing in vocabulary().objects) == catalog.models["demo"].vocabulary
