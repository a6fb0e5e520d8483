"""Puts a few of the screenshots that the tests take into `docs/page/`, small: `make screenshots`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TAKEN = ROOT / "test-artifacts" / "page"
SHOWN = ROOT / "docs" / "page"
PICTURES = {
    "desktop": "desktop-light-objects",
    "desktop-dark": "desktop-dark-removed",
    "phone": "phone-light-objects",
    "phone-cut-outs": "phone-light-cut-outs",
}
LARGEST_KB = 250


def main() -> int:
    """Write the pictures. Answers 1 where the tests have not taken them."""
    missing = [name for name in PICTURES.values() if not (TAKEN / f"{name}.png").exists()]
    if missing:
        print(f"not in {TAKEN}: {', '.join(missing)}; run the tests of tests/web first", file=sys.stderr)
        return 1
    SHOWN.mkdir(exist_ok=True)
    for name, taken in PICTURES.items():
        path = SHOWN / f"{name}.webp"
        with Image.open(TAKEN / f"{taken}.png") as picture:
            picture.convert("RGB").save(path, quality=86, method=6)
        size_kb = path.stat().st_size / 1000
        assert size_kb < LARGEST_KB, f"{path} has {size_kb:.0f} kB"
        print(f"{path.relative_to(ROOT)}: {size_kb:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
