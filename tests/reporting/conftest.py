"""What the tests of the pages share."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def blank_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the charts of a page blank: drawing them takes most of its time.

    For tests that look at the words, the tables or the pictures of a page. The charts are laid
    out all the same; only matplotlib's drawing of them is left out.
    """
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
