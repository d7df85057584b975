"""Names that are not to be trusted."""

NAMES = {
    "ansi": "\x1b[31mred\x1b]0;title\x07",
    "return": "harmless\r\x08\x08gradscope: nothing found",
    "lines": "a\nerror: b\x0b\x0c\x85\u2028c",
    "direction": "\u202eevil\u2066\u200f",
    "invisible": "\u200b\ufeff\xad",
    "half": "\ud800",
    "long": "x" * 10_000,
    "emoji": "🔥🏳️‍🌈",
    "markup": "<img src=x onerror=alert(1)>[a](javascript:b)`*c*`",
    "format": "%s{0}{x!r}\\",
}
