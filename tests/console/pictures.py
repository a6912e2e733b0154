"""``bin/pictures``: each page of the console as a picture in docs/pictures, light, dark and narrow."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.console.chromium import OPTIONS
from tests.console.pages import pages
from tests.console.scene import scene

TO = Path(__file__).parents[2] / "docs" / "pictures"
#: Width and height in CSS pixels, and the colours that are wished for.
LOOKS = {"light": (1200, 750, "light"), "dark": (1200, 750, "dark"), "narrow": (390, 750, "light")}


def main() -> None:
    """Make them anew."""
    shutil.rmtree(TO, ignore_errors=True)
    TO.mkdir()
    with (
        tempfile.TemporaryDirectory() as folder,
        scene(Path(folder) / "carrier") as client,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        for look, (width, height, scheme) in LOOKS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                locale="en",
            )
            page = context.new_page()
            for name, path in pages(client).items():
                page.goto(f"http://127.0.0.1:{client.port}{path}")
                page.evaluate("document.fonts.ready")
                page.screenshot(path=TO / f"{name}-{look}.png")
                print(f"{name}-{look}.png")
        browser.close()


if __name__ == "__main__":
    main()
