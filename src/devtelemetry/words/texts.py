"""What clients sent, as a person may see it: nothing acts on a screen or hides. Pure."""


def visible(text: str) -> str:
    """What is no printable letter, as what turns text around, is written as its code: `\\u202e`."""
    return "".join(letter if letter.isprintable() else escaped(letter) for letter in text)


def shorten(text: str, width: int) -> str:
    """The same in `width` letters at most: a long one goes without its middle."""
    text = visible(text)
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def escaped(letter: str) -> str:
    r"""`\u202e`, or `\U000e0001`: it can be read back"""
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
