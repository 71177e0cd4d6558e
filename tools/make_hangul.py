"""Write learning_gan/hangul.xz and hangul.txt: 2,350 syllables in 16 fonts at 32x32, and the fonts' licence.

The fonts are fetched from npm, one package each, of the versions below. All are under the SIL Open Font License 1.1;
hangul.txt holds each copyright line and the licence. The hash that this prints is pinned in
nbs/machine/84_syllables.ipynb: other glyphs are other data.
"""

import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from learning_gan.core.files import atomic_path
from learning_gan.parts.images import sha256_of
from learning_gan.parts.syllables import FONTS, SIZE, draw_font, ks_x_1001, pack, unpack

OUT = Path(__file__).resolve().parent.parent / "learning_gan"
VERSIONS = {"song-myung": "5.2.8", "diphylleia": "5.2.7", "single-day": "5.3.1"}
VERSION = "5.3.0"  # of the others
ABOUT = """hangul.xz: the 2,350 syllables of KS X 1001 in 16 fonts, drawn at 32x32 pixels by tools/make_hangul.py.

The fonts, and the images made of them, are under the SIL Open Font License, Version 1.1, which follows. The images are
a modified version of no font's name. Copyright of the fonts:

"""


def fetch(font: str, folder: Path) -> tuple[Path, str]:
    "A font's file, and the text of its licence."
    package = f"@fontsource/{font}@{VERSIONS.get(font, VERSION)}"
    command = ["npm", "pack", package, "--silent", "--pack-destination", folder]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder / font, filter="data")
    inside = folder / font / "package"
    return inside / "files" / f"{font}-korean-400-normal.woff2", (inside / "LICENSE").read_text(
        encoding="utf-8"
    )


def main():
    glyphs, lines, terms = [], [], set()
    with tempfile.TemporaryDirectory() as folder:
        for font in FONTS:
            path, licence = fetch(font, Path(folder))
            copyright_line, _, rest = licence.partition("\n")
            lines.append(f"{font}: {copyright_line}\n")
            terms.add(rest.strip())
            glyphs.append(draw_font(path, ks_x_1001()))
            print(font, f"{glyphs[-1].mean():.0f}", flush=True)
    (text,) = terms  # all fonts have the same
    content = pack(np.stack(glyphs))
    for name, data in (
        ("hangul.xz", content),
        ("hangul.txt", (ABOUT + "".join(lines) + f"\n{text}\n").encode()),
    ):
        with atomic_path(OUT / name) as temporary:
            temporary.write_bytes(data)
    whole = unpack(content).reshape(len(FONTS), -1, SIZE, SIZE, 1)
    print(f"{len(content):,} bytes, SHA-256 of the glyphs {sha256_of(whole)}")


if __name__ == "__main__":
    main()
