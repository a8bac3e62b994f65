from __future__ import annotations

import pytest

from tests.integration.api.system import System


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    made = System(tmp_path_factory.mktemp("system"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def firms(system):
    """consignor -> carrier -> haulier -> driver -> consignee, and a stranger."""
    names = {
        "consignor": "consignor", "carrier": "contract carrier", "haulier": "subcontractor",
        "driver": "driver", "consignee": "consignee", "stranger": "subcontractor",
    }  # fmt: skip
    return {name: system.party(name, kind) for name, kind in names.items()}
