"""CONTRIBUTING.md: its rooms and files exist, and declarations have the effects that it states."""

import re
from pathlib import Path

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from devtelemetry.cli import options
from devtelemetry.settings import table
from devtelemetry.settings.notations import WholeNumber
from devtelemetry.settings.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "devtelemetry"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(
    re.findall(
        r"^### (.+)\n((?:(?!##).*\n)+)",
        CONTRIBUTING.partition("\n## Recipes\n")[2],
        re.MULTILINE,
    )
)
_FILE = re.compile(r"`([\w./*-]+/[\w.*-]*\.(?:py|sql|md|proto|json|html|toml|svg)|[A-Z]+\.md)`")


def test_every_room_is_in_the_table_and_no_other() -> None:
    table = CONTRIBUTING.partition("\n## The rooms\n")[2].partition("\n## ")[0]
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert sorted(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)) == sorted(rooms)


def test_there_are_recipes_for_the_usual_changes() -> None:
    assert list(RECIPES) == [
        "A field of a sample",
        "A dimension",
        "A membership policy",
        "A figure on the page",
        "A setting",
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_file_that_a_recipe_names_exists(recipe: str) -> None:
    named = _FILE.findall(RECIPES[recipe])
    assert len(named) > 4
    for name in named:
        assert any([*ROOT.glob(name), *PACKAGE.glob(name)]), name


def test_a_declared_setting_is_an_option_a_variable_a_key_of_the_file_and_a_row_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class More(Settings):
        made_up: WholeNumber = Field(5, ge=1, le=9, description="What this test has made up.")

    monkeypatch.setattr(table, "Settings", More)
    monkeypatch.setattr(options, "Settings", More)
    app = typer.Typer()

    @app.command()
    @options.with_settings("made_up")
    def tell(settings: More) -> None:
        print(settings.made_up)

    def told(*arguments: str) -> str:
        return CliRunner().invoke(app, arguments).output.strip()

    file = tmp_path / "devtelemetry.toml"
    file.write_text("made_up = 6", encoding="utf-8")
    assert told() == "5"
    assert told(f"--config={file}") == "6"
    monkeypatch.setenv("DEVTELEMETRY_MADE_UP", "7")
    assert told(f"--config={file}") == "7"
    assert told("--made-up=8") == "8"
    assert "allowed: a whole number from 1 to 9" in told("--made-up=10")
    assert (
        "| `made_up` | `--made-up`<br>`DEVTELEMETRY_MADE_UP` | `5` | a whole number from 1 to 9 |"
        " What this test has made up. |"
    ) in table.settings_table()
