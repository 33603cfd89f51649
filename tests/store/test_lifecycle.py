from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.store.objects import Meta, Version, lifecycle

BORN = datetime(2014, 1, 15, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def version(
    key: str = "logs/k", age: timedelta = timedelta(), *, past: bool = False, deleted: bool = False, **more: Any
) -> Version:
    """Born at half past ten; `age` makes it older."""
    meta = Meta(headers=more.pop("headers", {}), tags=more.pop("tags", {}))
    size = more.pop("size", 0 if deleted else 1 << 20)
    modified = (BORN - age).timestamp()
    return Version("b", past, key, 1, "v", deleted, size, "", modified, "", meta.dump())


def rules(**actions: Any) -> list[lifecycle.Rule]:
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, **actions}
    return lifecycle.rules({"LifecycleConfiguration": {"Rules": [rule]}})


def done(found: list[lifecycle.Rule], versions: list[Version], now: datetime) -> list[tuple[str, int]]:
    return [(each.action, versions.index(each.version)) for each in lifecycle.due(found, versions, now)]


def test_days_are_counted_to_the_next_midnight() -> None:
    """The example of the user guide: three days after 15 January, 10:30, is 19 January, 0:00."""
    found = rules(Expiration={"Days": 3})
    end = datetime(2014, 1, 19, tzinfo=UTC)
    assert lifecycle.expiration(found, version()) == (end, "r")
    assert done(found, [version()], end - timedelta(seconds=1)) == []
    assert done(found, [version()], end) == [("Expiration", 0)]


def test_a_date_counts_for_all_objects() -> None:
    found = rules(Expiration={"Date": "2014-02-01T00:00:00+00:00"})
    assert lifecycle.expiration(found, version()) == (datetime(2014, 2, 1, tzinfo=UTC), "r")


def test_of_several_rules_the_earliest_counts() -> None:
    found = [*rules(Expiration={"Days": 3}), lifecycle.Rule("soon", "logs/k", actions={"Expiration": {"Days": 1}})]
    assert lifecycle.expiration(found, version()) == (datetime(2014, 1, 17, tzinfo=UTC), "soon")


def test_disabled_rules_do_nothing() -> None:
    rule = {"ID": "r", "Status": "Disabled", "Filter": {}, "Expiration": {"Days": 1}}
    assert lifecycle.rules({"LifecycleConfiguration": {"Rules": [rule]}}) == []


@pytest.mark.parametrize(
    ("filter_", "fits", "misses"),
    [
        ({"Prefix": "a/"}, version("a/b"), version("b")),
        ({"Tag": {"Key": "k", "Value": "v"}}, version(tags={"k": "v", "x": ""}), version(tags={"k": "w"})),
        ({"ObjectSizeGreaterThan": 5}, version(size=6), version(size=5)),
        ({"ObjectSizeLessThan": 5}, version(size=4), version(size=5)),
        (
            {"And": {"Prefix": "a", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeLessThan": 5}},
            version("ab", size=1, tags={"k": "v"}),
            version("ab", size=1),
        ),
        ({"ObjectSizeLessThan": 5}, version(size=1), version(deleted=True)),
    ],
)
def test_filters_choose(filter_: dict[str, Any], fits: Version, misses: Version) -> None:
    rule = {"ID": "r", "Status": "Enabled", "Filter": filter_, "Expiration": {"Days": 1}}
    found = lifecycle.rules({"LifecycleConfiguration": {"Rules": [rule]}})[0]
    assert (found.means(fits), found.means(misses)) == (True, False)


def test_past_versions_go_by_the_age_of_their_successor() -> None:
    found = rules(NoncurrentVersionExpiration={"NoncurrentDays": 2})
    versions = [version(age=DAY), version(age=9 * DAY, past=True)]
    assert done(found, versions, BORN) == []
    assert done(found, versions, datetime(2014, 1, 17, tzinfo=UTC)) == [("NoncurrentVersionExpiration", 1)]


def test_the_newest_past_versions_are_kept() -> None:
    found = rules(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2})
    versions = [version(age=(5 + past) * DAY, past=past > 0) for past in range(5)]
    gone = [("NoncurrentVersionExpiration", place) for place in (3, 4)]
    assert done(found, versions, BORN + 9 * DAY) == gone


@pytest.mark.parametrize("action", [{"ExpiredObjectDeleteMarker": True}, {"Days": 1}])
def test_a_delete_marker_goes_when_it_is_alone(action: dict[str, Any]) -> None:
    found = rules(Expiration=action)
    marker, before = version(deleted=True), version(age=DAY, past=True)
    assert done(found, [marker, before], BORN + 9 * DAY) == []
    assert done(found, [marker], BORN + 9 * DAY) == [("ExpiredObjectDeleteMarker", 0)]


def test_a_delete_marker_does_not_expire_before_its_days_are_over() -> None:
    assert done(rules(Expiration={"Days": 3}), [version(deleted=True)], BORN + DAY) == []


def test_the_coldest_class_that_is_due_is_chosen() -> None:
    found = rules(
        Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}],
        Expiration={"Days": 365},
    )
    chosen = [
        [due.storage_class for due in lifecycle.due(found, [each], BORN + days * DAY)]
        for each, days in [
            (version(), 20),
            (version(), 40),
            (version(), 70),
            (version(headers={"StorageClass": "STANDARD_IA"}), 40),
            (version(headers={"StorageClass": "DEEP_ARCHIVE"}), 70),
        ]
    ]
    assert chosen == [[], ["STANDARD_IA"], ["GLACIER"], [], []]


def test_small_objects_stay_where_they_are_unless_the_rule_speaks_of_sizes() -> None:
    transition = {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
    small = version(size=1000)
    later = BORN + 9 * DAY
    assert done(rules(**transition), [small], later) == []
    assert done(rules(**transition, Filter={"ObjectSizeLessThan": 2000}), [small], later) == [("Transition", 0)]
    rule = {"ID": "r", "Status": "Enabled", "Filter": {}, **transition}
    spec = {
        "LifecycleConfiguration": {"Rules": [rule]},
        "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
    }
    assert done(lifecycle.rules(spec), [small], later) == [("Transition", 0)]


def test_past_versions_change_their_class() -> None:
    found = rules(NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "GLACIER_IR"}])
    versions = [version(age=9 * DAY), version(age=10 * DAY, past=True)]
    assert [due.storage_class for due in lifecycle.due(found, versions, BORN)] == ["GLACIER_IR"]


def test_uploads_are_given_up() -> None:
    found = rules(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
    assert lifecycle.abort(found, "logs/x", BORN.timestamp()) == (datetime(2014, 1, 17, tzinfo=UTC), "r")
    assert lifecycle.abort(found, "x", BORN.timestamp()) is None


@given(st.integers(1, 400), st.integers(0, 400 * 24))
def test_what_is_announced_is_what_happens(days: int, hours: int) -> None:
    found = rules(Expiration={"Days": days})
    now = BORN + timedelta(hours=hours)
    end = lifecycle.expiration(found, version())
    assert end is not None
    assert (end[0] <= now) == bool(done(found, [version()], now))
    assert timedelta(days=days) < end[0] - BORN <= timedelta(days=days + 1)
