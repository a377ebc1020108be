import pytest

from lightning_dissect.dashboard import libraries
from lightning_dissect.dashboard.libraries import library_scripts, library_style


def test_scripts_can_stand_in_a_page():
    scripts = library_scripts()
    assert len(scripts) == 3
    assert not any("</script" in script.lower() or "<!--" in script for script in scripts)
    assert "</style" not in library_style()


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    library_scripts.cache_clear()
    monkeypatch.setattr(libraries, "_SCRIPTS", (("not_installed_at_all", "a.js"),))
    with pytest.raises(ModuleNotFoundError, match=r"'not_installed_at_all' is missing: pip install 'lightning-dissect"):
        library_scripts()
    monkeypatch.undo()
    library_scripts.cache_clear()
