"""Roads proposed, learned and reported on, as a user asks for them."""

from __future__ import annotations

import importlib.util
import json

import pytest

from deploy.cli import main
from tests.unit.tracking import families

PBF = families.SHARED / "osm" / "liechtenstein.osm.pbf"
HEADER = "time_utc,lat,lon\n"


def drive(path, aside=0.0, stop=0):
    rows, second = [], 0
    for at in range(60):
        for _ in range(1 + (stop if at == 30 else 0)):
            rows.append(
                f"2026-03-09T{19 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z,"
                f"{31.0 + at * 0.001:.6f},{121.0 + aside:.6f}"
            )
            second += 10
    path.write_text(HEADER + "\n".join(rows))
    return str(path)


def test_a_road_is_learned_from_drives_with_its_support_and_can_be_judged_by(tmp_path, capsys):
    drives = [drive(tmp_path / f"{n}.csv", aside=n * 2e-5) for n in range(3)]
    out = str(tmp_path / "road.geojson")
    assert main(["track", "learn", *drives, "-o", out]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["drives"], facts["least_support"]) == (3, 3)
    assert main(["track", "check", "--route", out, "--fixes", drives[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arrived_at"]


def test_a_report_says_who_crossed_what_who_stood_where_and_who_left_the_road(tmp_path, capsys):
    first = drive(tmp_path / "first.csv", stop=60)
    second = drive(tmp_path / "second.csv", aside=0.019)
    route = tmp_path / "road.geojson"
    route.write_text(json.dumps({"type": "LineString", "coordinates": [[121, 31], [121, 31.059]]}))
    square = [[120.99, 31.02], [121.02, 31.02], [121.02, 31.03], [120.99, 31.03], [120.99, 31.02]]

    def collection(name, geometry, **named):
        path = tmp_path / name
        feature = {"type": "Feature", "properties": named, "geometry": geometry}
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        return str(path)

    areas = collection("a.geojson", {"type": "Polygon", "coordinates": [square]}, area="town")
    places = collection("p.geojson", {"type": "Point", "coordinates": [121, 31.03]}, place="yard")
    code = main(["track", "report", first, second, "--route", str(route), "--areas", areas,
                 "--places", places])  # fmt: skip
    assert code == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["trip"] for row in told["areas"]} == {"first", "second"}
    (stop,) = told["stops"]
    assert (stop["place"], stop["stops"]) == ("yard", 1)
    assert all(row["farthest_m"] > 900 for row in told["deviations"])
    assert main(["track", "report", first, "--areas", places]) == 2
    assert "property area" in capsys.readouterr().err


def test_without_the_engine_a_road_is_refused_with_what_to_install(tmp_path, capsys):
    if importlib.util.find_spec("valhalla") is not None:
        pytest.skip("the routing engine is installed here: the next test uses it")
    code = main(
        ["track", "route", "--osm", str(tmp_path), "--place", "9.5,47.1", "--place", "9.6,47.2"]
    )
    assert code == 2
    assert "pip install pyvalhalla-weekly" in capsys.readouterr().err


@pytest.mark.skipif(
    importlib.util.find_spec("valhalla") is None,
    reason="needs the optional extra: pip install pyvalhalla-weekly",
)
@pytest.mark.skipif(
    not PBF.exists(), reason="needs the shared extract beside the repository (../shared/vectors)"
)
def test_a_trucks_road_is_planned_on_a_real_extract(tmp_path, capsys):
    out = tmp_path / "road.geojson"
    asked = ["track", "route", "--osm", str(PBF), "--cache", str(tmp_path), "-o", str(out)]
    assert main([*asked, "--place", "9.5227,47.1410", "--place", "9.5100,47.2270"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert 10_000 < facts["length_m"] < 14_000
    assert len(json.loads(out.read_text())["geometry"]["coordinates"]) == facts["points"]
    assert main([*asked, "--place", "9.5227,47.1410", "--place", "0,0"]) == 2
    assert "no road" in capsys.readouterr().err
    assert main([*asked, "--place", "here", "--place", "0,0"]) == 2
