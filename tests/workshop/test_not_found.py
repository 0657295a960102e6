"""The page for an address that is none works wherever it is shown."""

import re
from urllib.parse import urlsplit

from workshop.site import site_problems


def test_every_address_begins_at_the_root_of_the_site(built):
    html = (built.site / "404.html").read_text(encoding="utf-8")
    root = urlsplit(built.baseurl).path
    assert root not in {"", "/"}
    addresses = re.findall(r'\s(?:href|src|action)="([^"#]+)', html)
    inside = [address for address in addresses if not re.match(r"[a-z]+:", address)]
    assert len(inside) > 10
    assert [address for address in inside if not address.startswith(root)] == []
    files = [urlsplit(address).path.removeprefix(root) for address in inside]
    assert [name for name in files if not (built.site / name).exists()] == []
    assert f'data-content_root="{root}"' in html
    assert "There is no such page" in html
    assert f'href="{root}index.html"' in html


def test_its_addresses_are_checked_like_all_others(built, tmp_path):
    page = built.site / "404.html"
    before = page.read_text(encoding="utf-8")
    root = urlsplit(built.baseurl).path
    try:
        page.write_text(before.replace(f'href="{root}search.html"', f'href="{root}none.html"'), encoding="utf-8")
        assert site_problems(built, built.site) == [f"404.html: dead link {root}none.html"]
    finally:
        page.write_text(before, encoding="utf-8")
    assert site_problems(built, built.site) == []
