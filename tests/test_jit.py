"""Machine code is kept, and belongs to the very sources it was made from."""

from adaptwin import jit
from adaptwin.twin.kernel import _play


def test_machine_code_is_stamped_with_all_sources_it_may_come_from(tmp_path, monkeypatch):
    assert _play._cache._cache_file._source_stamp == jit._stamp()
    for package in jit.COMPILED_PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "cost.py").write_text("a = 1")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    before = jit._stamp.__wrapped__()
    assert jit._stamp.__wrapped__() == before
    (tmp_path / "profile" / "cost.py").write_text("a = 2")
    assert jit._stamp.__wrapped__() != before
