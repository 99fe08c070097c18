"""AudioSet's names and what is above them."""

from engine.taxonomy.ontology import load_ontology, synonyms

ONTOLOGY = load_ontology()


def test_every_parent_is_a_name_and_nothing_is_above_itself() -> None:
    for name in ONTOLOGY:
        above: set[str] = set()
        new = set(ONTOLOGY[name])
        while new:
            above |= new
            new = {parent for one in new for parent in ONTOLOGY[one]} - above
        assert name not in above


def test_a_name_holds_its_synonyms() -> None:
    assert "Water tap, faucet" in ONTOLOGY
    assert synonyms("Water tap, faucet") == ["water tap faucet", "water tap", "faucet"]
    assert ONTOLOGY["Bark"] == ("Dog",)
