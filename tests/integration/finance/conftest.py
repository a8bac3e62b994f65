from __future__ import annotations

import pytest

from deploy.node import LocalChain
from tests.integration.finance.town import FIRST_BLOCK, Town


@pytest.fixture
def town(tmp_path):
    with LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK, keep_state=False) as chain:
        made = Town(chain, f"sqlite:///{tmp_path}/yundan.sqlite", tmp_path / "deployments")
        made.enrol()
        yield made
        made.storage.close()
        made.client.close()
