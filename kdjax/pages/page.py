"""HTML pages that stand by themselves: style, script and pictures inside, nothing to fetch."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n"

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 3rem; background: #fff;
  color: #1a1a1a; font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; max-width: 46rem; }
.sub, .note, figcaption { color: #555; }
.note, figcaption { font-size: .9rem; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.card { flex: 1 1 8.5rem; border: 1px solid #ccc; border-radius: .4rem; padding: .6rem .9rem; }
.card b { display: block; font-size: 1.9rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto;
  background: linear-gradient(to right, #fff 40%, #fff0) 0 / 3rem 100% local,
  linear-gradient(to left, #fff 40%, #fff0) 100% / 3rem 100% local,
  linear-gradient(to right, #0004, #0000) 0 / .8rem 100% scroll,
  linear-gradient(to left, #0004, #0000) 100% / .8rem 100% scroll;
  background-repeat: no-repeat; } /* a shadow where more of a table is hidden */
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid #e2e2e2; }
thead th { vertical-align: bottom; border-bottom-color: #888; font-size: .9rem; }
th:first-child, td.text { text-align: left; }
tbody th { font-weight: normal; }
th > a, th > code { display: inline-block; max-width: min(24rem, 60vw);
  overflow-wrap: break-word; }
td.text { overflow-wrap: anywhere; }
tr.weak td, tr.weak th, th small { color: #666; }
th small { display: block; min-width: 10rem; }
.oracle { border: 2px solid #b34700; border-radius: .4rem; padding: .2rem 1rem .8rem;
  margin: 2rem 0; }
.oracle h2 { margin-top: .8rem; }
.tag { background: #b34700; color: #fff; border-radius: .25rem; padding: .1rem .5rem;
  font-size: .85rem; letter-spacing: .04em; white-space: nowrap; }
figure { margin: 1.2rem 0; }
figure img { display: block; width: 100%; min-width: 36rem; height: auto; }
.notes { border: 1px solid #1a1a1a; border-left-width: .4rem; border-radius: .4rem;
  padding: .5rem 1rem; margin: 1rem 0; overflow-wrap: anywhere; }
.notes ul { margin: .2rem 0; padding-left: 1.2rem; }
summary { cursor: pointer; padding: .3rem 0; }
pre { background: #f5f5f5; padding: .8rem; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media (max-width: 32rem) { table { font-size: .85rem; }
  th, td { padding-right: .5rem; } }
@media print { :root { font-size: 11px; } body { max-width: none; } h2 { break-after: avoid; }
  figure, .oracle, .notes, .cards, tr { break-inside: avoid; } figure img { min-width: 0; }
  .wide { overflow: visible; background: none; } }
"""


def render(
    title: str,
    body: str,
    *,
    style: str = "",
    script: str = "",
    data: Mapping[str, Any] | None = None,
) -> str:
    """The page.

    Args:
        title: plain text.
        body: HTML.
        style: CSS after that of every page.
        script: the only one that the page may run, from `script`.
        data: what the script finds as JSON in the element of id "data".
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    tail = f"<script>{script}</script>\n" if script else ""
    if data is not None:
        tail = f'<script type="application/json" id="data">{_json(data)}</script>\n{tail}'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}">
<title>{escape(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
{body}
{tail}</body>
</html>
"""


def script(*names: str) -> str:
    """Files of the folder `script` as one script."""
    return "\n".join(['"use strict";\n', *map(_part, names)])


def style(name: str) -> str:
    """A style sheet of the folder `script`."""
    return _part(name)


def _part(name: str) -> str:
    return (resources.files("kdjax.pages") / "script" / name).read_text(encoding="utf-8")


def _json(data: Mapping[str, Any]) -> str:
    """JSON in which no text can end the script element that it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def table(
    head: Sequence[str] | None, rows: Iterable[Sequence[str]], weak: Sequence[bool] = ()
) -> str:
    """Cells are HTML already; the first of a row is its heading."""
    top = "".join(f'<th scope="col">{name}</th>' for name in head or ())
    lines = []
    for i, (first, *rest) in enumerate(rows):
        kind = ' class="weak"' if i < len(weak) and weak[i] else ""
        lines.append(f'<tr{kind}><th scope="row">{first}</th>{"".join(rest)}</tr>')
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    body = "\n".join(lines)
    return f'<div class="wide"><table>{thead}<tbody>\n{body}\n</tbody></table></div>'


def cell(content: str, kind: str = "") -> str:
    """A cell of a table; the content is HTML already."""
    return f'<td class="{kind}">{content}</td>' if kind else f"<td>{content}</td>"


def card(name: str, value: str, about: str) -> str:
    """A headline number with a line on it; all three are HTML already."""
    return f'<div class="card">{name}<b>{value}</b>{about}</div>'


def figure(content: str, caption: str) -> str:
    """Both are HTML already."""
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def data_uri(png: bytes) -> str:
    """The picture as an address. ValueError where it is no PNG."""
    if not png.startswith(_PNG):
        raise ValueError("not a PNG")
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def number(value: float | None, form: str = ".4f") -> str:
    """A dash where there is none; so the others."""
    return "–" if value is None else format(value, form)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g}&nbsp;%"


def count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def size(count: int | None) -> str:
    return "–" if count is None else f"{count / 1e6:.2f} MB"


def text(value: object) -> str:
    """Anything as escaped text."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return escape(", ".join(f"{key} {item}" for key, item in value.items()))
    return escape(str(value))
