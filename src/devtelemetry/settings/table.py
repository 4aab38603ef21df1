"""The texts about each setting for --help and docs/settings.md."""

from pydantic.fields import FieldInfo

from devtelemetry.settings.names import environment_name, option_name
from devtelemetry.settings.notations import DefaultText, allowed_for, notation_of
from devtelemetry.settings.settings import Settings


def metavar(name: str) -> str:
    """The placeholder of the value in --help; empty for a switch."""
    return notation_of(Settings.model_fields[name]).metavar


def is_switch(name: str) -> bool:
    """Whether a setting is only on or off, so that its option has no value."""
    return Settings.model_fields[name].annotation is bool


def default_text(name: str) -> str:
    """The default as a person would write it, or in words."""
    setting = Settings.model_fields[name]
    text = _default_in_words(setting)
    return notation_of(setting).write(setting.default) if text is None else text


def _default_in_words(setting: FieldInfo) -> str | None:
    texts = (item.text for item in setting.metadata if isinstance(item, DefaultText))
    return next(texts, None)


def description(name: str) -> str:
    text = Settings.model_fields[name].description
    assert text is not None, "every setting has a description"
    return text


def settings_table() -> str:
    """All settings as a Markdown table, the text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made by `devtelemetry settings`; a test compares this page with the program.",
        "",
        "A value is looked for in this order: the command line option, the environment variable,",
        "the TOML file that `--config` or `DEVTELEMETRY_CONFIG` names (the key is the name of the",
        "setting), the default. It is written the same way in all of them. In the file, numbers,",
        "true and false, and lists may also be written as in TOML.",
        "",
        "| setting | option, environment variable | default | allowed | what, and why |",
        "|---|---|---|---|---|",
    ]
    for name, setting in Settings.model_fields.items():
        words = _default_in_words(setting)
        cells = (
            f"`{name}`",
            f"`{option_name(name)}`<br>`{environment_name(name)}`",
            f"`{default_text(name)}`" if words is None else words.replace("*", "\\*"),
            allowed_for(setting),
            description(name),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
