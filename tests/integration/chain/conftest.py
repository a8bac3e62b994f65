from __future__ import annotations

import pytest

from deploy.node import LocalChain
from tests.integration.chain.till import FIRST_BLOCK, Desk


@pytest.fixture
def chain(tmp_path):
    with LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK, keep_state=False) as running:
        yield running


@pytest.fixture
def desk(chain, tmp_path):
    made = Desk(chain, f"sqlite:///{tmp_path}/yundan.sqlite")
    made.deploy()
    yield made
    made.storage.close()
