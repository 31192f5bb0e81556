"""What is served as the browser client is made from its source, small, and as its types say."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest

import faye_redis
from support.node_js import node_modules

ROOT = Path(__file__).resolve().parents[2]
BROWSER = ROOT / "faye_redis" / "browser"
BUILT = ["client.min.js", "client.min.js.map", "client.min.mjs", "client.min.mjs.map"]
MOST_BYTES = 8000

USE = """
import * as Faye from './client.min.mjs';

async function use(): Promise<number> {
  const client = new Faye.Client('/bayeux', { timeout: 60, retry: 5 });
  client.on('transport:down', () => {});
  client.bind('stopped', (error) => error.code);
  client.disable('websocket');
  client.setHeader('X-Token', 'x');
  client.addExtension({
    outgoing(message, callback) { message.ext = { token: 'x' }; callback(message); } });
  const subscription = client.subscribe('/a', (data) => data.text)
    .withChannel((channel, data) => channel.length);
  await subscription;
  for (const one of client.subscribe(['/b', '/c'])) one.cancel();
  const reply = await client.publish('/a', { text: 'hello' }, { attempts: 3 });
  await client.disconnect();
  return reply.channel.length + Faye.VERSION.length;
}
// @ts-expect-error
new Faye.Client('/bayeux').publish(1, 2);
// @ts-expect-error
new Faye.Client('/bayeux').on('transport', () => {});
"""


def program(name: str) -> str:
    return str(node_modules() / ".bin" / name)


def test_the_files_are_what_the_build_makes(tmp_path: Path) -> None:
    subprocess.run([ROOT / "contrib" / "build-client", tmp_path], check=True,
                   env={**os.environ, "ESBUILD": program("esbuild")})
    assert sorted(path.name for path in tmp_path.iterdir()) == BUILT
    for name in BUILT:
        assert (tmp_path / name).read_bytes() == (BROWSER / name).read_bytes(), name


@pytest.mark.parametrize("name", ["client.min.js", "client.min.mjs"])
def test_it_is_small(name: str) -> None:
    assert len(gzip.compress((BROWSER / name).read_bytes(), mtime=0)) < MOST_BYTES


def test_it_has_the_version_of_the_package() -> None:
    source = (BROWSER / "client.js").read_text()
    assert re.findall(r"VERSION = '(.*)'", source) == [faye_redis.__version__]


def test_the_types(tmp_path: Path) -> None:
    (tmp_path / "client.min.d.mts").write_text((BROWSER / "client.d.ts").read_text())
    (tmp_path / "use.mts").write_text(USE)
    done = subprocess.run(
        [program("tsc"), "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext",
         "--lib", "es2022,dom", "use.mts"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
