"""Who hangs together with whom, freight in circles, and the same freight financed twice."""

from __future__ import annotations

import datetime as dt

from finance.relations import Carriage, Link, LinkKind, Relations, Suspicion, doubles_of

T = dt.datetime(2026, 1, 26, tzinfo=dt.UTC)


def link(a, b, kind, day=1, amount=0):
    return Link(a, b, kind, day, amount)


def test_a_shared_account_or_phone_makes_parties_related_and_business_does_not():
    graph = Relations(
        [
            link("party:1", "account:x", LinkKind.ACCOUNT),
            link("party:2", "account:x", LinkKind.ACCOUNT),
            link("party:2", "phone:y", LinkKind.PHONE),
            link("party:3", "phone:y", LinkKind.PHONE),
            link("party:1", "party:4", LinkKind.FREIGHT, amount=100),
            link("party:5", "vehicle:v", LinkKind.DRIVES),
            link("party:1", "vehicle:v", LinkKind.DRIVES),
        ]
    )
    found = graph.find_relation("party:1", "party:3")
    assert found.path == ("party:1", "account:x", "party:2", "phone:y", "party:3")
    assert graph.find_relation("party:1", "party:4") is None
    assert graph.find_relation("party:1", "party:5") is None
    assert graph.find_relation("party:9", "party:9").path == ("party:9",)
    assert graph.group_of("party:3") == ("party:1", "party:2", "party:3")
    assert graph.group_of("party:4") == ("party:4",)


def test_what_was_not_known_on_the_day_relates_nobody():
    links = [
        link("party:1", "account:x", LinkKind.ACCOUNT, day=5),
        link("party:2", "account:x", LinkKind.ACCOUNT, day=9),
    ]
    assert Relations(links, day=8).find_relation("party:1", "party:2") is None
    assert Relations(links, day=9).find_relation("party:1", "party:2") is not None


def test_far_cousins_are_no_relation():
    chain = [link(f"party:{n}", f"phone:{n}", LinkKind.PHONE) for n in range(6)] + [
        link(f"party:{n + 1}", f"phone:{n}", LinkKind.PHONE) for n in range(5)
    ]
    graph = Relations(chain)
    assert graph.find_relation("party:0", "party:3") is not None
    assert graph.find_relation("party:0", "party:4") is None


def test_freight_that_comes_back_in_like_amounts_is_a_ring_and_back_hauling_is_not():
    def owes(a, b, amount):
        return link(f"party:{a}", f"party:{b}", LinkKind.FREIGHT, amount=amount)

    ring = [owes(1, 2, 1_000), owes(2, 3, 900), owes(3, 1, 850)]
    assert Relations(ring).rings_of("party:1") == (("party:1", "party:2", "party:3"),)
    assert Relations([*ring[:2], owes(3, 1, 700)]).rings_of("party:1") == ()
    assert Relations([owes(1, 2, 10), owes(2, 1, 10)]).rings_of("party:1") == ()
    assert Relations(ring).rings_of("party:7") == ()


def carriage(trip, **changes):
    told = {
        "trip": trip, "fingerprint": f"f{trip}", "vehicle": "v", "shipment": f"s{trip}",
        "loads": T, "delivers": T + dt.timedelta(hours=5), "quantity": 10_000,
    }  # fmt: skip
    return Carriage(**told | changes)


def test_the_same_freight_again_is_found_by_what_gives_it_away():
    one = carriage("a", shipment="s")
    later = {"loads": T + dt.timedelta(hours=5), "delivers": T + dt.timedelta(hours=9)}
    others = [
        carriage("b", fingerprint="fa", **later),
        carriage("c"),
        carriage("d", vehicle="w", shipment="s", quantity=10_150, borrower="2"),
        carriage("e", vehicle="w", shipment="s", quantity=10_151, borrower="2"),
        carriage("g", vehicle="w", shipment="s", quantity=10_150),
        carriage("f", shipment="s", **later),
        one,
    ]
    assert doubles_of(one, others) == (
        ("b", Suspicion.SAME_RECEIVABLE),
        ("c", Suspicion.VEHICLE_TWICE),
        ("d", Suspicion.SAME_SHIPMENT),
    )
